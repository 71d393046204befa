/** Decisions as a table for spreadsheets. Pure. */

import { kindOf } from "./questions.js";

/** @typedef {import("./questions.js").Question} Question */

const COLUMNS = Object.freeze(["decided_at", "decision", "by", "for", "kind", "tool", "arguments", "note", "answer", "question", "asked_at", "interrupt_id", "mission_id", "session_id"]);

/**
 * @param {Question[]} decided
 * @returns {string} RFC 4180, with a head
 */
export function asCsv(decided) {
  const rows = decided.map((one) => [
    ...[one.answered_at, kindOf(one), one.by, one.user_id, one.kind, one.tool, one.arguments && JSON.stringify(one.arguments), one.note],
    ...[said(one), one.message, one.raised_at, one.interrupt_id, one.mission_id, one.session_id],
  ]);
  return [COLUMNS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** @param {Question} one */
function said({ kind, decision, answer }) {
  if (kind === "confirmation") return "";
  return decision ?? (typeof answer === "string" ? answer : (JSON.stringify(answer) ?? ""));
}

/** What begins like a formula is kept from being one: agents write these texts. @param {unknown} value */
function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
