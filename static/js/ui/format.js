/** Values as people read them. Pure. */

/**
 * A duration: `4 ms`, `1.2 s`, `3 min 5 s`.
 * @param {number} ms
 * @returns {string}
 */
export function duration(ms) {
  if (ms < 1) return "< 1 ms";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 9_950 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/**
 * What is left of a time: `59:12`, `23 h 5 min`, `0:00` when it has passed.
 * @param {number} ms
 * @returns {string}
 */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  if (seconds >= 7_200) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** @param {number} size @returns {string} `9 B`, `1.5 KiB`, `3.0 MiB` */
export function bytes(size) {
  if (size < 1_024) return `${size} B`;
  if (size < 1_048_576) return `${(size / 1_024).toFixed(1)} KiB`;
  return `${(size / 1_048_576).toFixed(1)} MiB`;
}

/** @param {number} count @param {string} noun @returns {string} `1 step`, `2 steps` */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * A JSON value for reading: text as it is, anything else indented.
 * @param {unknown} value
 * @returns {string}
 */
export function pretty(value) {
  return typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
}

/**
 * A JSON value on one line, cut: an object as its members, or as just the one it has.
 * @param {unknown} value
 * @param {number} [limit] characters
 * @returns {string}
 */
export function brief(value, limit = 90) {
  if (value === null || value === undefined) return "";
  const text = flat(value).replace(/\s+/g, " ");
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}

/** @param {unknown} value @returns {string} */
function flat(value) {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return JSON.stringify(value);
  const members = Object.entries(value);
  if (members.length === 1) return flat(members[0][1]);
  return members.map(([name, member]) => `${name}: ${typeof member === "string" ? member : JSON.stringify(member)}`).join(", ");
}

/** Made once: making one costs more than a hundred uses of it. */
const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });

/** @param {string} at RFC 3339 @returns {string} time of day */
export function clockTime(at) {
  return CLOCK.format(new Date(at));
}

/**
 * Usage in words, only what was used.
 * @param {Record<string, any> | null} usage
 * @returns {string[]}
 */
export function usageWords(usage) {
  if (!usage) return [];
  const tokens = (usage.input_tokens ?? 0) + (usage.output_tokens ?? 0);
  return [
    usage.llm_calls ? counted(usage.llm_calls, "model call") : "",
    usage.tool_calls ? counted(usage.tool_calls, "tool call") : "",
    tokens ? counted(tokens, "token") : "",
    usage.cost_usd ? `$${usage.cost_usd.toFixed(4)}` : "",
  ].filter(Boolean);
}

const CLOCK_SECONDS = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** @param {string} at RFC 3339 @returns {string} time of day with seconds */
export function clockSeconds(at) {
  return CLOCK_SECONDS.format(new Date(at));
}

const DAY_AND_TIME = new Intl.DateTimeFormat([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** @param {string} at RFC 3339 @returns {string} `27 Nov, 20:51` in the person's language */
export function dayAndTime(at) {
  return DAY_AND_TIME.format(new Date(at));
}
