/**
 * Calls in flight and what a lost connection means for them: the sans-IO core of `call()`.
 *
 * A call is *repeatable* when making it twice is the same as making it once: reads; commands that carry an
 * `idempotency_key`; answers and other commands for which the wire promises the same reply the second time. Those
 * stay pending over a reconnect and go out again. Any other call that was sent is rejected with `disconnected`,
 * because nobody can know whether it was done; one that was not sent yet just waits.
 */

import { RpcError } from "./errors.js";

/** Commands that get an `idempotency_key` when the caller gave none. */
export const KEYED_METHODS = Object.freeze(new Set(["mission.submit", "message.send"]));

/** Methods that may be repeated as they are. */
export const REPEATABLE_METHODS = Object.freeze(
  new Set([
    ...["ping", "mission.get", "mission.explain", "mission.list", "interrupt.list", "session.get", "session.list", "tower.status"],
    ...["confirm", "clarify", "interrupt.answer", "mission.cancel", "mission.set_priority", "session.update"],
  ]),
);

/**
 * @typedef {object} Call
 * @property {number} id
 * @property {string} method
 * @property {Record<string, unknown>} params
 * @property {(result: any) => void} resolve
 * @property {(error: RpcError) => void} reject
 * @property {number} sends how often it went out
 * @property {number} head the client's `head` when it was made
 * @property {number | undefined} timer
 */

/**
 * @param {string} method
 * @param {Record<string, unknown>} params
 * @returns {boolean}
 */
export function isRepeatable(method, params) {
  return typeof params.idempotency_key === "string" || REPEATABLE_METHODS.has(method);
}

/** The calls that have no reply yet, in the order in which they were made. */
export class CallBook {
  /** @type {Map<number, Call>} */ #calls = new Map();
  #next = 1;

  /** @returns {number} */
  get size() {
    return this.#calls.size;
  }

  /**
   * @param {Omit<Call, "id" | "sends" | "timer">} call
   * @returns {Call}
   */
  add(call) {
    const entry = { ...call, id: this.#next++, sends: 0, timer: undefined };
    this.#calls.set(entry.id, entry);
    return entry;
  }

  /** @param {number} id @returns {Call | undefined} the call, which is no longer pending */
  take(id) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  /** @returns {Call[]} what to send once the connection is live: new calls and those to repeat */
  waiting() {
    return [...this.#calls.values()];
  }

  /**
   * The connection is gone: takes out the calls that cannot be sent again.
   * @returns {Call[]} those to reject
   */
  drop() {
    const lost = this.waiting().filter((call) => call.sends > 0 && !isRepeatable(call.method, call.params));
    for (const call of lost) this.#calls.delete(call.id);
    return lost;
  }

  /** Takes out every call. @returns {Call[]} */
  clear() {
    const all = this.waiting();
    this.#calls.clear();
    return all;
  }
}

/** @param {Call} call @returns {RpcError} */
export function disconnected(call) {
  const message = "The connection was lost before the answer came; whether it was done is not known.";
  return new RpcError("disconnected", message, { method: call.method });
}
