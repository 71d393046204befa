/** Questions to people and what became of them, from lists and from the events since. Pure. */

import { fromRecord } from "../ui/interrupts.js";

/** @typedef {import("../ui/interrupts.js").Interrupt & {user_id?: string | null}} Question */
/** @typedef {import("../client.js").TowerEvent} TowerEvent */
/** @typedef {Readonly<Record<string, Question>>} Questions by id */

/** @type {Readonly<Record<string, Question["status"]>>} */
const CLOSES = Object.freeze({ "interrupt.resolved": "resolved", "interrupt.expired": "expired", "interrupt.cancelled": "cancelled" });

/** @param {Questions} known @param {Record<string, any>[]} records as the server lists them @returns {Questions} */
export function merge(known, records) {
  return { ...known, ...Object.fromEntries(records.map((record) => [record.interrupt_id, fromRecord(record)])) };
}

/** @param {Questions} known @param {TowerEvent[]} events @returns {Questions} */
export function reduce(known, events) {
  return events.reduce(reduceOne, known);
}

/** @param {Questions} known @param {TowerEvent} event @returns {Questions} */
function reduceOne(known, { type, at, data, mission_id, session_id, user_id }) {
  const id = data?.interrupt_id;
  if (type === "interrupt.raised") return { ...known, [id]: /** @type {Question} */ ({ ...data, mission_id, session_id, user_id, status: "pending", raised_at: at }) };
  const status = CLOSES[type];
  const before = known[id];
  if (!status || (before && before.status !== "pending")) return known;
  const { message: note, arguments: ran, ...answer } = data;
  const asked = before?.arguments;
  const edited = ran !== undefined && asked !== undefined && JSON.stringify(ran) !== JSON.stringify(asked);
  const unseen = { mission_id, session_id, user_id, message: "", step: null, raised_at: at, expires_at: null };
  return { ...known, [id]: /** @type {Question} */ ({ ...unseen, ...before, ...answer, note, edited, arguments: ran ?? asked, status, answered_at: at }) };
}

/** @param {Questions} known @returns {Question[]} open ones, those that wait longest first */
export function pending(known) {
  return Object.values(known)
    .filter(({ status }) => status === "pending")
    .sort((a, b) => a.raised_at.localeCompare(b.raised_at));
}

/** @typedef {"all" | "approved" | "refused" | "answered" | "expired"} Kind */

/** What a decision was, in one word. @param {Question} question @returns {Exclude<Kind, "all"> | "dropped"} */
export function kindOf({ status, kind, approved }) {
  if (status === "expired") return "expired";
  if (status === "cancelled") return "dropped";
  if (kind !== "confirmation") return "answered";
  return approved ? "approved" : "refused";
}

/**
 * @param {Questions} known
 * @param {Kind} wanted refusals are those that a person gave and those that time gave
 * @returns {Question[]} closed ones, the latest first
 */
export function decisions(known, wanted) {
  const fits = (/** @type {Question} */ question) => {
    const kind = kindOf(question);
    return wanted === "all" || kind === wanted || (wanted === "refused" && kind === "expired" && question.kind === "confirmation");
  };
  return Object.values(known)
    .filter((question) => question.status !== "pending" && fits(question))
    .sort((a, b) => (b.answered_at ?? "").localeCompare(a.answered_at ?? ""));
}
