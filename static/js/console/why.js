/** Why a process does not run, as a sentence. Pure. */

/**
 * The server's answer to `mission.explain`.
 * @typedef {object} Explained
 * @property {string} state
 * @property {string | null} cause
 * @property {number | null} position
 * @property {string | {missions?: string[], interrupts?: string[], children?: string[]} | null} waiting_for
 * @property {number} [eta_s]
 */

/** @type {Readonly<Record<string, string>>} */
const QUESTIONS = Object.freeze({
  confirmation: "It waits for a person to approve what it is about to do.",
  clarification: "It waits for a person's answer.",
  resource_exhausted: "Its quota is used up; it waits for a person to extend it, or to end it.",
  unknown_outcome: "A call with a side effect was cut off; it waits for a person to say whether it happened.",
});

/** @type {Readonly<Record<string, string>>} */
const BLOCKS = Object.freeze({
  session_busy: "Its session is busy: another mission of it goes first.",
  start_at: "It was given a time to start, which has not come.",
  sleep: "It sleeps until its timer rings.",
  child: "It waits for a sub-mission.",
  join: "It waits for a sub-mission.",
  breaker: "A tool that it needs rests after failures.",
  agent_missing: "Its agent is not registered on this server.",
});

/** @type {Readonly<Record<string, (explained: Explained) => string>>} */
const STATES = Object.freeze({
  new: () => "It is being accepted.",
  ready: ({ cause }) => (cause === "user_limit" ? "Its user already runs as many as they may." : "Every slot is taken; it runs as soon as one is free."),
  running: () => "It runs.",
  waiting: ({ cause }) => QUESTIONS[cause ?? ""] ?? "It waits for a person.",
  blocked: ({ cause }) => BLOCKS[cause ?? ""] ?? `It waits: ${(cause ?? "for something").replaceAll("_", " ")}.`,
  paused: ({ cause }) =>
    cause === "nondeterminism" ? "It was paused: its program no longer does what its journal says it did." : `It was paused${cause && cause !== "paused" ? `: ${cause}` : " by a person"}.`,
  terminated: () => "It has ended.",
});

/** @param {Explained} explained @returns {string} */
export function why(explained) {
  return STATES[explained.state]?.(explained) ?? explained.state;
}

/** @param {Record<string, any>} block of a mission that has ended @returns {string} what became of it, and why */
export function end({ outcome, error, state_reason }) {
  if (error?.message) return error.message;
  if (outcome !== "cancelled") return "It has ended.";
  return state_reason ? `It was cancelled: ${state_reason}` : "It was cancelled.";
}

/** @param {Explained} explained @returns {string[]} the missions that it waits for */
export function holders({ waiting_for }) {
  if (!waiting_for || typeof waiting_for === "string") return [];
  return waiting_for.missions ?? waiting_for.children ?? [];
}
