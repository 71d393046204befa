/** Events in handfuls: what comes within one animation frame is handed over together, so that a page draws once a frame. */

/** @typedef {import("../client.js").TowerEvent} TowerEvent */

/** Frames stop in a hidden tab; its state goes on, and its title with it. */
const HIDDEN_FRAME_MS = 200;

/**
 * @param {(events: TowerEvent[]) => void} take never called with none
 * @returns {{gather: (event: TowerEvent) => void, flush: () => void, drop: () => void}} `flush` hands over at once
 *   what waits, `drop` forgets it
 */
export function byFrame(take) {
  /** @type {TowerEvent[]} */ let waiting = [];
  let scheduled = false;
  const flush = () => {
    scheduled = false;
    const events = waiting;
    if (!events.length) return;
    waiting = [];
    take(events);
  };
  const gather = (/** @type {TowerEvent} */ event) => {
    waiting.push(event);
    if (scheduled) return;
    scheduled = true;
    if (document.hidden) setTimeout(flush, HIDDEN_FRAME_MS);
    else requestAnimationFrame(flush);
  };
  document.addEventListener("visibilitychange", flush);
  return { gather, flush, drop: () => void (waiting = []) };
}
