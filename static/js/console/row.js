/** One process as the console's table knows it: from a control block, or from the events since. Pure. */

/** @typedef {import("../client.js").TowerEvent} TowerEvent */
/** @typedef {"new" | "ready" | "running" | "waiting" | "blocked" | "paused" | "terminated"} State */

/**
 * @typedef {object} Row
 * @property {string} mission_id
 * @property {string} session_id
 * @property {string} user_id
 * @property {string} agent
 * @property {string} mission its text
 * @property {State} state
 * @property {string | null} outcome
 * @property {string | null} cause
 * @property {string} priority
 * @property {string | null} step
 * @property {string} call the name of what its step calls
 * @property {Record<string, any>} quota
 * @property {Record<string, number>} usage
 * @property {string | null} parent_id
 * @property {number} since Unix milliseconds
 * @property {number | null} ended Unix milliseconds
 */

/** Most urgent first, as the scheduler orders them. */
export const PRIORITIES = Object.freeze(["realtime", "high", "normal", "low", "idle"]);

/** In the order in which an operator wants to read them. */
export const STATES = Object.freeze(/** @type {const} */ (["running", "ready", "waiting", "blocked", "paused", "terminated"]));

/** What counts up by itself with each step, by the step's kind. @type {Readonly<Record<string, string>>} */
const COUNTED = Object.freeze({ llm: "llm_calls", tool: "tool_calls" });
const RESOURCES = Object.freeze(["llm_calls", "tool_calls", "input_tokens", "output_tokens", "cost_usd", "children", "events"]);

/** @param {Record<string, any>} block a process control block @returns {Row} */
export function rowOf(block) {
  const { mission_id, session_id, user_id, agent, mission, state, outcome, priority, quota, usage } = block;
  return {
    ...{ mission_id, session_id, user_id, agent, mission, state, outcome, priority, quota, usage },
    ...{ cause: block.state_reason, step: block.current_step, call: "", parent_id: block.parent_pid },
    since: Date.parse(block.created_at),
    ended: block.completed_at ? Date.parse(block.completed_at) : null,
  };
}

/** @param {TowerEvent} event `mission.submitted` @returns {Row} */
function rowOfSubmitted({ mission_id = "", session_id = "", user_id = "", at, data }) {
  const { mission, agent, priority, quota, parent_id } = data;
  return {
    ...{ mission_id, session_id, user_id, agent, mission, priority, quota, parent_id },
    ...{ state: "ready", outcome: null, cause: null, step: null, call: "", usage: {}, since: Date.parse(at), ended: null },
  };
}

/** @typedef {(row: Row, event: TowerEvent) => Row} Change */

/** @param {State} state @returns {Change} */
const becomes = (state) => (row, { data }) => ({ ...row, state, cause: data.cause ?? null });

/** @param {string} outcome @returns {Change} */
const ends = (outcome) => (row, { at, data }) => ({
  ...row,
  ...{ state: "terminated", outcome, cause: data.reason ?? data.error?.message ?? null, call: "" },
  usage: { ...row.usage, ...data.usage },
  ended: Date.parse(at),
});

/** @type {Change} */
function stepStarted(row, { data }) {
  const counter = COUNTED[data.kind];
  const usage = counter && data.attempt === 1 ? { ...row.usage, [counter]: (row.usage[counter] ?? 0) + 1 } : row.usage;
  return { ...row, usage, step: data.step, call: data.name };
}

/** @type {Change} */
function stepCompleted(row, { data }) {
  const { input_tokens = 0, output_tokens = 0, cost_usd = 0 } = data.usage ?? {};
  if (!input_tokens && !output_tokens && !cost_usd) return row;
  const { usage } = row;
  const sum = (/** @type {string} */ name, /** @type {number} */ more) => (usage[name] ?? 0) + more;
  const more = { input_tokens: sum("input_tokens", input_tokens), output_tokens: sum("output_tokens", output_tokens), cost_usd: sum("cost_usd", cost_usd) };
  return { ...row, usage: { ...usage, ...more } };
}

/** @type {Readonly<Record<string, Change>>} */
const CHANGES = Object.freeze({
  "mission.queued": (row, { data }) => ({ ...row, state: data.cause === "no_slot" || data.cause === "user_limit" ? "ready" : "blocked", cause: data.cause }),
  "mission.started": becomes("running"),
  "mission.recovered": becomes("running"),
  "mission.resumed": becomes("running"),
  "mission.waiting": becomes("waiting"),
  "mission.blocked": becomes("blocked"),
  "mission.paused": becomes("paused"),
  "mission.preempted": becomes("ready"),
  "mission.updated": (row, { data }) => ({ ...row, priority: data.priority ?? row.priority, quota: data.quota ?? row.quota }),
  "mission.completed": ends("completed"),
  "mission.failed": ends("failed"),
  "mission.cancelled": ends("cancelled"),
  "mission.timed_out": ends("timed_out"),
  "mission.quota_exceeded": ends("quota_exceeded"),
  "step.started": stepStarted,
  "step.completed": stepCompleted,
  "quota.extended": (row, { data }) => ({ ...row, quota: { ...row.quota, [`max_${data.resource}`]: data.limit } }),
});

/**
 * A row after an event.
 * @param {Row | undefined} row
 * @param {TowerEvent} event
 * @returns {Row | undefined} the same one where it says nothing of the table
 */
export function changed(row, event) {
  if (event.type === "mission.submitted") return rowOfSubmitted(event);
  if (!row || row.state === "terminated") return row;
  return CHANGES[event.type]?.(row, event) ?? row;
}

/** @typedef {{resource: string, used: number, limit: number, share: number}} Share */

/**
 * What a process has used of each limit that it has, always in the same order.
 * @param {Pick<Row, "quota" | "usage">} row
 * @returns {Share[]}
 */
export function shares({ quota, usage }) {
  return RESOURCES.map((resource) => ({ resource, used: usage[resource] ?? 0, limit: quota[`max_${resource}`] }))
    .filter(({ limit }) => typeof limit === "number" && limit > 0)
    .map((each) => ({ ...each, share: each.used / each.limit }));
}

/**
 * The limit that a row is nearest to. A row is asked for it at each drawing and each sorting of the table, and never
 * changes, so it is found once.
 * @param {Pick<Row, "quota" | "usage">} row
 * @returns {Share | undefined}
 */
export function nearest(row) {
  let found = NEAREST.get(row);
  if (found === undefined) {
    found = shares(row).reduce((/** @type {Share | null} */ most, each) => (most && most.share >= each.share ? most : each), null);
    NEAREST.set(row, found);
  }
  return found ?? undefined;
}

/** @type {WeakMap<object, Share | null>} */
const NEAREST = new WeakMap();
