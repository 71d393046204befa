/** Which processes are shown, and in which order: filter, search, sort, tree. Pure. */

import { nearest, PRIORITIES, STATES } from "./row.js";

/** @typedef {import("./row.js").Row} Row */
/** @typedef {keyof typeof KEYS} Column */

/**
 * @typedef {object} Arrangement
 * @property {ReadonlySet<string>} states those shown
 * @property {string} text words that a row must have, in any of its columns
 * @property {Column} column
 * @property {boolean} falling largest first
 * @property {boolean} tree children under their parents
 */

/** @typedef {{row: Row, depth: number}} Line */

/** @param {readonly string[]} order */
const rank = (order) => (/** @type {string} */ value) => order.indexOf(value);
const stateRank = rank(STATES);
const priorityRank = rank(PRIORITIES);

/** What each column sorts by. @type {Readonly<Record<"state" | "priority" | "user" | "agent" | "step" | "quota" | "age" | "mission", (row: Row) => number | string>>} */
export const KEYS = Object.freeze({
  state: ({ state }) => stateRank(state),
  priority: ({ priority }) => priorityRank(priority),
  user: ({ user_id }) => user_id,
  agent: ({ agent }) => agent,
  step: ({ step }) => Number.parseInt(step ?? "0", 10),
  quota: (row) => nearest(row)?.share ?? 0,
  age: ({ since }) => -since,
  mission: ({ mission }) => mission,
});

/**
 * @param {Iterable<Row>} rows
 * @param {Arrangement} how
 * @returns {Line[]}
 */
export function arrange(rows, how) {
  const words = how.text.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = [...rows].filter((row) => how.states.has(row.state) && words.every((word) => has(row, word)));
  const sorted = sort(kept, how);
  return how.tree ? asTree(sorted) : sorted.map((row) => ({ row, depth: 0 }));
}

/** What a row can be found by, in lower case; made once, as a row never changes. @type {WeakMap<Row, string>} */
const FOUND_BY = new WeakMap();

/** @param {Row} row @param {string} word */
function has(row, word) {
  let text = FOUND_BY.get(row);
  if (text === undefined) {
    const { mission, user_id, agent, mission_id, session_id, priority, call, outcome, cause } = row;
    text = [mission, user_id, agent, mission_id, session_id, priority, call, outcome, cause].join("\n").toLowerCase();
    FOUND_BY.set(row, text);
  }
  return text.includes(word);
}

/** Keys are made once a row, not once a comparison; what is equal keeps its order of age. @param {Row[]} rows @param {Arrangement} how */
function sort(rows, { column, falling }) {
  const key = KEYS[column];
  const keyed = rows.map((row) => ({ row, key: key(row) }));
  const sign = falling ? -1 : 1;
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : b.row.since - a.row.since || (a.row.mission_id < b.row.mission_id ? 1 : -1)));
  return keyed.map(({ row }) => row);
}

/** Children follow their parent, both in the order given; one whose parent is not shown stands for itself. @param {Row[]} rows @returns {Line[]} */
function asTree(rows) {
  const shown = new Set(rows.map(({ mission_id }) => mission_id));
  /** @type {Map<string, Row[]>} */ const children = new Map();
  const roots = [];
  for (const row of rows) {
    if (!row.parent_id || !shown.has(row.parent_id)) roots.push(row);
    else children.set(row.parent_id, [...(children.get(row.parent_id) ?? []), row]);
  }
  /** @type {Line[]} */ const lines = [];
  const stack = roots.reverse().map((row) => ({ row, depth: 0 }));
  for (let line = stack.pop(); line; line = stack.pop()) {
    const { row, depth } = line;
    lines.push(line);
    for (const child of (children.get(row.mission_id) ?? []).reverse()) stack.push({ row: child, depth: depth + 1 });
  }
  return lines;
}
