/** Questions to people and what became of them, from lists and from the events since. Pure. */

import { fromRecord } from "../ui/interrupts.js";

/** @typedef {import("../ui/interrupts.js").Interrupt & {user_id?: string | null}} Question */
/** @typedef {import("../client.js").TowerEvent} TowerEvent */
/** @typedef {Readonly<Record<string, Question>>} Questions by id */

/** So many are kept while events come. */
export const KEPT = 1_000;

/** @type {Readonly<Record<string, Question["status"]>>} */
const CLOSES = Object.freeze({ "interrupt.resolved": "resolved", "interrupt.expired": "expired", "interrupt.cancelled": "cancelled" });

/**
 * A list may have been read before an event that overtook it, so it opens nothing again.
 * @param {Questions} known
 * @param {Record<string, any>[]} records as the server lists them
 * @returns {Questions}
 */
export function merge(known, records) {
  const news = records.filter(({ interrupt_id, status }) => status !== "pending" || isOpen(known[interrupt_id] ?? { status }));
  return { ...known, ...Object.fromEntries(news.map((record) => [record.interrupt_id, fromRecord(record)])) };
}

/** @param {Questions} known @param {TowerEvent[]} events @returns {Questions} */
export function reduce(known, events) {
  const next = { ...known };
  const changes = events.filter((event) => reduceOne(next, event));
  return changes.length ? bounded(next, known) : known;
}

/** @param {{status: string}} question */
const isOpen = ({ status }) => status === "pending";

/**
 * Without the oldest decisions where there are too many, so that a page may stay open for weeks; what the person had
 * asked for stays.
 * @param {Record<string, Question>} next
 * @param {Questions} known
 * @returns {Questions}
 */
function bounded(next, known) {
  const most = Math.max(KEPT, Object.keys(known).length);
  const over = Object.keys(next).length - most;
  if (over <= 0) return next;
  for (const { interrupt_id } of decisions(next, "all").slice(-over)) delete next[interrupt_id];
  return next;
}

/** @param {Record<string, Question>} known changed in place @param {TowerEvent} event @returns {boolean} whether it was */
function reduceOne(known, { type, at, data, mission_id, session_id, user_id }) {
  const id = data?.interrupt_id;
  const before = known[id];
  if (before && !isOpen(before)) return false;
  if (type === "interrupt.raised") {
    known[id] = /** @type {Question} */ ({ ...data, mission_id, session_id, user_id, status: "pending", raised_at: at });
    return true;
  }
  const status = CLOSES[type];
  if (!status) return false;
  const { message: note, arguments: ran, ...answer } = data;
  const asked = before?.arguments;
  const edited = ran !== undefined && asked !== undefined && JSON.stringify(ran) !== JSON.stringify(asked);
  const unseen = { mission_id, session_id, user_id, message: "", step: null, raised_at: at, expires_at: null };
  known[id] = /** @type {Question} */ ({ ...unseen, ...before, ...answer, note, edited, arguments: ran ?? asked, status, answered_at: at });
  return true;
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
