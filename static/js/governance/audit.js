/** A search through the log, from its end backwards, a stretch at a time. Pure. */

import { eventLine } from "../console/event_line.js";

/** @typedef {import("../client.js").TowerEvent} TowerEvent */

/**
 * @typedef {object} Wanted
 * @property {string} words all of which an event must have, anywhere in it
 * @property {string} kind the word before its type's dot; empty for any
 * @property {string} user whose it is; empty for anybody's
 */

/** Kinds that can be asked for, with what they are called. */
export const KINDS = Object.freeze([
  { kind: "", name: "Everything" },
  { kind: "interrupt", name: "Questions and decisions" },
  { kind: "mission", name: "Missions" },
  { kind: "step", name: "Steps" },
  { kind: "quota", name: "Quotas" },
  { kind: "message", name: "Messages" },
  { kind: "session", name: "Sessions" },
  { kind: "breaker", name: "Breakers" },
  { kind: "node", name: "Nodes" },
]);

/** So many events are asked for at once: the most that one page holds. */
export const STRETCH = 1_000;

/**
 * Where to read next.
 * @param {number} before the lowest offset that was looked at; read below it
 * @returns {{since: number, upto: number} | null} null at the beginning of the log
 */
export function stretchBefore(before) {
  const upto = before - 1;
  return upto < 1 ? null : { since: Math.max(0, upto - STRETCH), upto };
}

/** @param {TowerEvent} event @param {Wanted} wanted @returns {boolean} */
export function fits(event, { words, kind, user }) {
  if (kind && !event.type.startsWith(`${kind}.`)) return false;
  if (user && event.user_id !== user && event.data?.by !== user) return false;
  const sought = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (!sought.length) return true;
  const text = JSON.stringify(event).toLowerCase();
  return sought.every((word) => text.includes(word));
}

/** @param {TowerEvent[]} events @returns {string} for a file: one event a line, as it was on the wire */
export function asLines(events) {
  return events.map((event) => JSON.stringify(event)).join("\n") + (events.length ? "\n" : "");
}

/** @param {TowerEvent} event @returns {string} */
export const sayOf = (event) => eventLine(event);
