/** Questions to people, as the wire's events tell of them. Pure. */

/**
 * A question to a person.
 * @typedef {object} Interrupt
 * @property {string} interrupt_id
 * @property {string} mission_id
 * @property {string} session_id
 * @property {"confirmation" | "clarification" | "resource_exhausted" | "unknown_outcome"} kind
 * @property {string} message
 * @property {string | null} step
 * @property {string} [tool]
 * @property {Record<string, unknown>} [arguments] as asked; the ones that ran when they were edited
 * @property {string} [risk]
 * @property {string[]} [options]
 * @property {string} raised_at
 * @property {string | null} expires_at
 * @property {"pending" | "resolved" | "expired" | "cancelled"} status
 * @property {string | null} [by]
 * @property {boolean} [approved]
 * @property {string} [note] what the person said with the answer
 * @property {unknown} [answer]
 * @property {string} [decision]
 * @property {boolean} [edited] whether the person changed the arguments
 * @property {string} [answered_at]
 * @property {string} [resource]
 * @property {number} [used]
 * @property {number} [limit]
 */

/**
 * An interrupt as the server lists it, in the form that its events have.
 * @param {Record<string, any>} record
 * @returns {Interrupt}
 */
export function fromRecord({ created_at, answered_by, answer, arguments: asked, ...rest }) {
  const said = answer && typeof answer === "object" ? answer : {};
  const ran = said.arguments ?? asked;
  return /** @type {Interrupt} */ ({
    ...rest,
    raised_at: created_at,
    by: answered_by,
    arguments: ran,
    edited: said.arguments !== undefined && said.arguments !== null && JSON.stringify(said.arguments) !== JSON.stringify(asked),
    approved: said.approved,
    decision: said.decision,
    note: said.message,
    answer: said.answer ?? answer,
  });
}
