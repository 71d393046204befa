/** What a screen reader is told: the boundaries of missions, never their tokens. Pure. */

/** @typedef {import("../client.js").TowerEvent} TowerEvent */

/** @type {Readonly<Record<string, (data: Record<string, any>) => string>>} */
const SAYS = Object.freeze({
  "mission.started": () => "Mission started.",
  "mission.completed": () => "Mission completed.",
  "mission.failed": ({ error }) => `Mission failed: ${error?.message ?? "unknown error"}.`,
  "mission.cancelled": () => "Mission stopped.",
  "mission.timed_out": () => "Mission timed out.",
  "mission.quota_exceeded": () => "Mission ended: its quota is used up.",
  "interrupt.raised": ({ kind, message }) => `${kind === "confirmation" ? "Your approval is needed" : "Your answer is needed"}: ${message}`,
});

/**
 * The newest thing worth saying of the open session.
 * @param {TowerEvent[]} events
 * @param {string | null} sessionId
 * @returns {string} empty when there is nothing to say
 */
export function announcements(events, sessionId) {
  const said = events.filter((event) => event.session_id === sessionId && event.type in SAYS);
  const last = said.at(-1);
  return last ? SAYS[last.type](last.data) : "";
}
