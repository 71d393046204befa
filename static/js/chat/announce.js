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
 * @param {number} [past] the offset up to which all of it is old: the session was opened later
 * @returns {string} empty when there is nothing to say
 */
export function announcements(events, sessionId, past = 0) {
  const said = events.filter(({ session_id, type, offset = Infinity }) => session_id === sessionId && type in SAYS && offset > past);
  const last = said.at(-1);
  return last ? SAYS[last.type](last.data) : "";
}

/**
 * What a session asks when it is opened.
 * @param {import("./model.js").Interrupt[]} open
 * @returns {string}
 */
export function asks([question]) {
  return question ? SAYS["interrupt.raised"](question) : "";
}
