/**
 * Text that streams in as `llm.delta`: `text = text[:at] + delta`, lower attempts dropped.
 *
 * `at` counts Unicode code points, as the server does; JavaScript strings count UTF-16 units, so that an emoji is
 * one to the server and two here. Appending, the usual case, never counts the text again.
 */

/**
 * @typedef {object} StreamedText
 * @property {string} text what has arrived
 * @property {number} points its length in code points
 * @property {number} attempt the attempt it belongs to
 */

/**
 * @typedef {object} Delta
 * @property {number} attempt
 * @property {number} at code points before it
 * @property {string} text
 */

/** @type {Readonly<StreamedText>} */
export const NO_TEXT = Object.freeze({ text: "", points: 0, attempt: 0 });

const SURROGATES = /[\ud800-\udbff][\udc00-\udfff]/g;

/**
 * The number of code points of a string.
 * @param {string} text
 * @returns {number}
 */
export function codePoints(text) {
  const pairs = text.match(SURROGATES);
  return text.length - (pairs ? pairs.length : 0);
}

/**
 * The first `count` code points of a string: Python's `text[:count]`.
 * @param {string} text
 * @param {number} count
 * @param {number} [length] code points of `text`, when known
 * @returns {string}
 */
export function firstCodePoints(text, count, length = codePoints(text)) {
  if (count >= length) return text;
  if (length === text.length) return text.slice(0, count);
  let index = 0;
  for (let points = 0; points < count; points += 1) {
    index += /** @type {number} */ (text.codePointAt(index)) > 0xffff ? 2 : 1;
  }
  return text.slice(0, index);
}

/**
 * The text after one more delta. Pure: the old state is not changed.
 * @param {Readonly<StreamedText>} state start from {@link NO_TEXT}
 * @param {Delta} delta
 * @returns {Readonly<StreamedText>}
 */
export function applyDelta(state, { attempt, at, text }) {
  if (attempt < state.attempt) return state;
  const before = attempt > state.attempt ? NO_TEXT : state;
  const kept = firstCodePoints(before.text, at, before.points);
  return { text: kept + text, points: Math.min(at, before.points) + codePoints(text), attempt };
}
