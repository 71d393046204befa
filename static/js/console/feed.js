/**
 * The live feed: everything that happens, newest first, bounded.
 *
 * It keeps the latest events whatever they are, and beside them the latest that pass the filter, so that a rare kind
 * is not washed away by a flood of another. Held still, it goes on counting and shows what it showed. Pure but for
 * its own lists.
 */

/** @typedef {import("../client.js").TowerEvent} TowerEvent */
/** @typedef {{kinds: ReadonlySet<string>, text: string}} Filter no kinds: all of them */

/** Rows that can be scrolled through. */
export const SHOWN = 1_000;
const KEPT = 5_000;

/** What a type is of: the word before its dot. @param {TowerEvent} event */
export const kindOf = ({ type }) => type.slice(0, type.indexOf("."));

/** @type {Filter} */
export const NO_FILTER = Object.freeze({ kinds: new Set(), text: "" });

/** See the head of this file. */
export class Feed {
  /** Whatever came, oldest first. @type {TowerEvent[]} */ #all = [];
  /** What passes the filter, oldest first. @type {TowerEvent[]} */ #passed = [];
  /** What was shown when it was held. @type {TowerEvent[] | null} */ #held = null;
  /** @type {Filter} */ #filter = NO_FILTER;
  #words = /** @type {string[]} */ ([]);
  /** How many passed the filter since it was held. */
  fresh = 0;
  /** How many came, ever. */
  total = 0;

  get filter() {
    return this.#filter;
  }

  get isHeld() {
    return this.#held !== null;
  }

  /** @returns {readonly TowerEvent[]} what is shown, oldest first */
  get lines() {
    return this.#held ?? this.#passed;
  }

  /** @param {TowerEvent[]} events */
  push(events) {
    this.total += events.length;
    const passed = this.#isOpen ? events : events.filter((event) => this.#passes(event));
    this.#all = latest(this.#all, events, KEPT);
    if (passed.length) this.#passed = latest(this.#passed, passed, SHOWN);
    if (this.#held) this.fresh += passed.length;
  }

  /** @param {Filter} filter */
  show(filter) {
    this.#filter = filter;
    this.#words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
    this.#passed = this.#all.filter((event) => this.#passes(event)).slice(-SHOWN);
    if (this.#held) this.#held = this.#passed;
    this.fresh = 0;
  }

  /** Stands still, or goes on with what came meanwhile. @param {boolean} held */
  hold(held) {
    this.#held = held ? (this.#held ?? this.#passed) : null;
    this.fresh = held ? this.fresh : 0;
  }

  get #isOpen() {
    return !this.#filter.kinds.size && !this.#words.length;
  }

  /** @param {TowerEvent} event */
  #passes(event) {
    const { kinds } = this.#filter;
    if (kinds.size && !kinds.has(kindOf(event))) return false;
    return this.#words.every((word) => says(event, word));
  }
}

/** A new list of the newest, so that what is held stays as it was. @param {TowerEvent[]} list @param {TowerEvent[]} more @param {number} most */
function latest(list, more, most) {
  if (more.length >= most) return more.slice(-most);
  return [...list.slice(Math.max(0, list.length + more.length - most)), ...more];
}

/** @param {TowerEvent} event @param {string} word */
function says({ type, user_id, mission_id, session_id, data }, word) {
  return [type, user_id, mission_id, session_id, data?.name, data?.mission, data?.tool, data?.by, data?.message].some(
    (value) => typeof value === "string" && value.toLowerCase().includes(word),
  );
}
