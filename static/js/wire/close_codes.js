/**
 * Which WebSocket close codes a client reconnects after, and how: one table, the same as the server's
 * (`server/wire/close_codes.py`; a test compares them), with the codes that only networks and proxies make.
 *
 * Where a frame of ours is what the server closed for, nothing is tried again by itself: sending it once more would
 * only be closed once more.
 */

/**
 * @typedef {object} ClosePolicy
 * @property {string} meaning what happened, in words for a log or a person
 * @property {boolean} reconnect whether the client tries again by itself
 * @property {number} [least_ms] added to the jitter before the next try
 */

/** @type {Readonly<Record<number, Readonly<ClosePolicy>>>} */
export const CLOSE_CODES = Object.freeze({
  1000: { meaning: "closed on request", reconnect: false },
  1001: { meaning: "the server goes away", reconnect: true },
  1002: { meaning: "not WebSocket", reconnect: false },
  1003: { meaning: "a binary message", reconnect: false },
  1005: { meaning: "closed without a code", reconnect: true },
  1006: { meaning: "connection lost", reconnect: true },
  1007: { meaning: "a message that is not UTF-8", reconnect: false },
  1008: { meaning: "refused by policy", reconnect: false },
  1009: { meaning: "a message over the limit", reconnect: false },
  1011: { meaning: "a fault of the server", reconnect: true, least_ms: 1_000 },
  1012: { meaning: "the server restarts", reconnect: true },
  1013: { meaning: "the server is overloaded", reconnect: true, least_ms: 1_000 },
  1014: { meaning: "a bad gateway", reconnect: true, least_ms: 1_000 },
  1015: { meaning: "TLS failed", reconnect: true, least_ms: 1_000 },
  4400: { meaning: "three messages that are not JSON", reconnect: false },
  4401: { meaning: "the token was revoked, has expired or was not valid", reconnect: false },
  4408: { meaning: "no hello in time", reconnect: true },
  4413: { meaning: "too much was waiting to be read", reconnect: true, least_ms: 1_000 },
  4429: { meaning: "too many messages, after a warning", reconnect: true, least_ms: 5_000 },
});

/** A code that is not in the table: try again, since a client that stays away is the worse fault. */
export const UNKNOWN_CLOSE = Object.freeze({ meaning: "closed", reconnect: true, least_ms: 1_000 });

/** Bounds of the wait before a reconnect: full jitter under a ceiling that doubles from `base_ms` to `cap_ms`. */
export const RECONNECT = Object.freeze({ base_ms: 500, cap_ms: 30_000, hint_cap_ms: 60_000, settled_ms: 5_000 });

/**
 * The policy for a close code.
 * @param {number} code
 * @returns {Readonly<ClosePolicy>}
 */
export function closePolicy(code) {
  return CLOSE_CODES[code] ?? UNKNOWN_CLOSE;
}

/**
 * The server's hint `retry_after_ms` in a close reason, as JSON or as `retry_after_ms=1500`.
 * @param {string | undefined} reason
 * @returns {number | null} milliseconds, bounded by `RECONNECT.hint_cap_ms`; null without a hint
 */
export function retryHintMs(reason) {
  const found = /retry_after_ms["']?\s*[=:]\s*(\d{1,9})/.exec(reason ?? "");
  return found ? Math.min(Number(found[1]), RECONNECT.hint_cap_ms) : null;
}

/**
 * How long to wait before try number `attempt` (from 0). Full jitter spreads a crowd that lost one server; a hint
 * or the code's own least wait moves the whole range up, so that those who were given the same hint still spread.
 * @param {number} attempt tries since the connection was last live
 * @param {() => number} random in [0, 1)
 * @param {number} [least_ms] the server's hint, or what the code says
 * @returns {number} milliseconds
 */
export function reconnectDelayMs(attempt, random, least_ms = 0) {
  const ceiling = Math.min(RECONNECT.cap_ms, RECONNECT.base_ms * 2 ** Math.min(attempt, 16));
  return Math.round(least_ms + random() * ceiling);
}
