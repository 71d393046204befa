/** Errors of calls over `/ws`: those the server answers with, and those that the client itself raises. */

/**
 * Codes that only the client raises. Every other code is the server's `data.code`.
 * @typedef {"disconnected" | "timeout" | "closed" | "too_large" | "aborted"} LocalCode
 */

/**
 * @typedef {object} WireError
 * @property {number} code JSON-RPC number
 * @property {string} message
 * @property {{code?: string, details?: Record<string, unknown>, retry_after_s?: number}} [data]
 */

/** A call that failed. Branch on `code`; show `message`. */
export class RpcError extends Error {
  /**
   * @param {string} code stable name, e.g. `not_found`, or a {@link LocalCode}
   * @param {string} message for a person
   * @param {{number?: number, details?: Record<string, unknown>, method?: string}} [more]
   */
  constructor(code, message, { number = 0, details = {}, method = "" } = {}) {
    super(message);
    this.name = "RpcError";
    /** @readonly */ this.code = code;
    /** JSON-RPC number; 0 when the client itself raised it. @readonly */ this.number = number;
    /** @readonly @type {Record<string, unknown>} */ this.details = details;
    /** @readonly */ this.method = method;
  }

  /** Seconds after which to try again, when the server said so. @returns {number | null} */
  get retryAfterS() {
    const value = this.details.retry_after_s;
    return typeof value === "number" ? value : null;
  }

  /** Whether the command may or may not have been done: only `unavailable` and a lost connection say so. */
  get outcomeUnknown() {
    return this.code === "disconnected" || this.code === "timeout" || this.details.outcome === "unknown";
  }

  /**
   * @param {WireError} error the `error` member of a reply
   * @param {string} method
   * @returns {RpcError}
   */
  static fromWire(error, method) {
    const { code: name, details: inner, ...rest } = error.data ?? {};
    const details = { ...rest, ...inner };
    return new RpcError(name ?? "internal", error.message, { number: error.code, details, method });
  }
}
