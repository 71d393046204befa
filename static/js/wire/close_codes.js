/**
 * Which WebSocket close codes a client reconnects after, and how: one table, for code and docs alike.
 *
 * `resend` says whether calls that are safe to repeat go out again on the next connection. It is false where a
 * frame of ours may be what the server closed for, as sending it again would only be closed again.
 */

/**
 * @typedef {object} ClosePolicy
 * @property {string} meaning what happened, in words for a log or a person
 * @property {boolean} reconnect whether the client tries again by itself
 * @property {boolean} resend whether repeatable calls in flight are sent again
 * @property {number} [floor_ms] shortest wait before the next try
 */

/** @type {Readonly<Record<number, Readonly<ClosePolicy>>>} */
export const CLOSE_CODES = Object.freeze({
  1000: { meaning: "closed by the server", reconnect: true, resend: true },
  1001: { meaning: "the server is going away", reconnect: true, resend: true },
  1002: { meaning: "protocol error", reconnect: true, resend: false, floor_ms: 1_000 },
  1003: { meaning: "unsupported data", reconnect: true, resend: false, floor_ms: 1_000 },
  1005: { meaning: "closed without a code", reconnect: true, resend: true },
  1006: { meaning: "connection lost", reconnect: true, resend: true },
  1007: { meaning: "invalid text", reconnect: true, resend: false, floor_ms: 1_000 },
  1008: { meaning: "refused by policy", reconnect: false, resend: false },
  1009: { meaning: "a frame was too big", reconnect: true, resend: false, floor_ms: 1_000 },
  1011: { meaning: "internal error of the server", reconnect: true, resend: true, floor_ms: 1_000 },
  1012: { meaning: "the server restarts", reconnect: true, resend: true },
  1013: { meaning: "the server is overloaded", reconnect: true, resend: true, floor_ms: 1_000 },
  1014: { meaning: "bad gateway", reconnect: true, resend: true, floor_ms: 1_000 },
  1015: { meaning: "TLS failed", reconnect: true, resend: true, floor_ms: 1_000 },
  4400: { meaning: "three messages that could not be parsed", reconnect: false, resend: false },
  4401: { meaning: "signed out: the token was revoked or has expired", reconnect: false, resend: false },
  4408: { meaning: "no hello in time", reconnect: true, resend: true },
  4413: { meaning: "reading too slowly", reconnect: true, resend: true },
  4429: { meaning: "sending too much", reconnect: true, resend: true, floor_ms: 5_000 },
});

/** A code that is not in the table: try again, since a client that stays away is the worse fault. */
export const UNKNOWN_CLOSE = Object.freeze({ meaning: "closed", reconnect: true, resend: true, floor_ms: 1_000 });

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
 * or a floor moves the whole range up, so that those who were given the same hint still spread.
 * @param {number} attempt tries since the connection was last live
 * @param {() => number} random in [0, 1)
 * @param {number} [least_ms] the server's hint or the code's floor
 * @returns {number} milliseconds
 */
export function reconnectDelayMs(attempt, random, least_ms = 0) {
  const ceiling = Math.min(RECONNECT.cap_ms, RECONNECT.base_ms * 2 ** Math.min(attempt, 16));
  return Math.round(least_ms + random() * ceiling);
}
