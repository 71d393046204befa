/** What became of a question, in one line. Pure. */

import { brief } from "./format.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */
/** @typedef {{mark: "check" | "cross" | "clock" | "minus", tone: "good" | "bad" | "calm", text: string}} Verdict */

const DECISIONS = /** @type {Readonly<Record<string, string>>} */ ({
  extend: "Quota extended",
  finish: "Told to finish with what it has",
  cancel: "Cancelled at its quota",
  it_happened: "Confirmed that it happened",
  retry: "Told to try again",
  fail: "Told to give up on it",
});

/** @param {Interrupt} interrupt @returns {Verdict} */
export function verdict(interrupt) {
  const { status, kind, by, note } = interrupt;
  const who = by ? ` by ${by}` : "";
  const said = note ? `: “${note}”` : "";
  if (status === "expired") return { mark: "clock", tone: "calm", text: kind === "confirmation" ? "Expired, which counts as refused" : "Expired without an answer" };
  if (status === "cancelled") return { mark: "minus", tone: "calm", text: "No longer asked: the mission ended" };
  if (kind === "confirmation") return confirmation(interrupt, who, said);
  if (kind === "clarification") return { mark: "check", tone: "calm", text: `${interrupt.message} — “${brief(interrupt.answer, 200)}”${who && `, said${who}`}` };
  const decision = DECISIONS[interrupt.decision ?? ""] ?? interrupt.decision ?? "Answered";
  return { mark: "check", tone: "calm", text: `${decision}${who}` };
}

/** @param {Interrupt} interrupt @param {string} who @param {string} said @returns {Verdict} */
function confirmation({ approved, edited, tool, arguments: ran, message }, who, said) {
  const what = tool ? ` ${tool} ${brief(ran)}` : ` “${message}”`;
  if (!approved) return { mark: "cross", tone: "bad", text: `Refused${who}:${what}${said}` };
  return { mark: "check", tone: "good", text: `Approved${edited ? " with edited arguments" : ""}${who}:${what}${said}` };
}
