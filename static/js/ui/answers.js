/** Answers to questions: each goes to exactly one question, and says why it was not taken. */

import { tower } from "./connection.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */

/**
 * Approves or refuses exactly this call, or, with arguments, this edited one.
 * @param {Interrupt} interrupt
 * @param {boolean} approved
 * @param {{message?: string, arguments?: Record<string, unknown>}} [more]
 * @returns {Promise<void>} rejected with why it was not taken
 */
export function confirm({ interrupt_id: confirmation_id }, approved, more = {}) {
  return tower.call("confirm", { confirmation_id, approved, ...more });
}

/** @param {Interrupt} interrupt @param {string} answer @returns {Promise<void>} rejected with why it was not taken */
export function clarify({ interrupt_id: clarification_id }, answer) {
  return tower.call("clarify", { clarification_id, answer });
}

/** @param {Interrupt} interrupt @param {string} decision @param {{quota?: object, result?: unknown}} [more] @returns {Promise<void>} */
export function decide({ interrupt_id }, decision, more = {}) {
  return tower.call("interrupt.answer", { interrupt_id, decision, ...more });
}
