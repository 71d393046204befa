/** How a mission stands, in a few words. Pure. */

/** @typedef {import("./model.js").Mission} Mission */

/** @type {Readonly<Record<string, string>>} */
const CAUSES = Object.freeze({
  session_busy: "its session is busy",
  session: "its session is busy",
  no_slot: "no slot is free",
  slot: "no slot is free",
  sleep: "a timer",
  child: "a sub-mission",
  breaker: "a tool that is resting after failures",
  agent_missing: "an agent that is not there",
  nondeterminism: "its program no longer matches its journal",
});

/** @param {string | null} cause */
const because = (cause) => (cause ? (CAUSES[cause] ?? cause.replaceAll("_", " ")) : "");

/** @type {Readonly<Record<Mission["state"], (mission: Mission) => string>>} */
const STANDS = Object.freeze({
  new: () => "Accepted",
  queued: ({ position, cause }) => `Queued${position ? `, number ${position}` : ""}${cause ? `: ${because(cause)}` : ""}`,
  running: (mission) => running(mission),
  waiting: (mission) => waitsFor(mission),
  blocked: ({ cause }) => `Waits for ${because(cause) || "something"}`,
  paused: ({ by, cause, error }) => error?.message ?? (by ? `Paused by ${by}` : `Paused${cause ? `: ${because(cause)}` : ""}`),
  ended: (mission) => OUTCOMES[mission.outcome ?? "failed"](mission),
});

/** @type {Readonly<Record<NonNullable<Mission["outcome"]>, (mission: Mission) => string>>} */
const OUTCOMES = Object.freeze({
  completed: () => "Completed",
  failed: () => "Failed",
  cancelled: ({ by }) => `Stopped${by ? ` by ${by}` : ""}`,
  timed_out: () => "Timed out",
  quota_exceeded: () => "Ended at its quota",
});

/** @param {Mission} mission */
function running({ steps }) {
  const current = steps.findLast(({ state }) => state === "running" || state === "retrying");
  return current ? `Running ${current.name || current.kind}` : "Running";
}

/** @param {Mission} mission */
function waitsFor({ interrupts }) {
  const open = interrupts.find(({ status }) => status === "pending");
  return open?.kind === "confirmation" ? "Waits for your approval" : open?.kind === "resource_exhausted" ? "Waits: quota used up" : "Waits for your answer";
}

/** @param {Mission} mission @returns {string} */
export function headline(mission) {
  return STANDS[mission.state](mission);
}
