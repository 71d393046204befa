/** The table's processes, kept by events. Ended ones stay a while, the latest of them. Pure but for its own maps. */

import { changed, rowOf } from "./row.js";

/** @typedef {import("./row.js").Row} Row */
/** @typedef {import("../client.js").TowerEvent} TowerEvent */

const ENDED_KEPT = 1_000;

/** Rows by mission id, changed in place: at thousands of events a second a copy for each would be most of the work. */
export class Processes {
  /** @type {Map<string, Row>} */ rows = new Map();
  /** Missions in the order in which they ended. @type {Set<string>} */ #ended = new Set();

  /** @param {TowerEvent[]} events @returns {boolean} whether any row is another one now */
  apply(events) {
    let any = false;
    for (const event of events) any = this.#applyOne(event) || any;
    return any;
  }

  /**
   * A list may have been read before an end that overtook it: what has ended stays so.
   * @param {Record<string, any>[]} blocks control blocks, which know better than events of before them
   */
  load(blocks) {
    for (const block of blocks) {
      if (block.state === "terminated" || !this.#ended.has(block.mission_id)) this.#put(rowOf(block));
    }
  }

  clear() {
    this.rows.clear();
    this.#ended.clear();
  }

  /** @returns {Record<string, number>} how many there are by state */
  counts() {
    /** @type {Record<string, number>} */ const counts = {};
    for (const { state } of this.rows.values()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  /** @param {TowerEvent} event */
  #applyOne(event) {
    const id = event.mission_id;
    if (!id) return false;
    const before = this.rows.get(id);
    const after = changed(before, event);
    if (after === before || !after) return false;
    this.#put(after);
    return true;
  }

  /** @param {Row} row */
  #put(row) {
    this.rows.set(row.mission_id, row);
    if (row.state !== "terminated") return;
    this.#ended.add(row.mission_id);
    if (this.#ended.size <= ENDED_KEPT) return;
    const [oldest] = this.#ended;
    this.#ended.delete(oldest);
    this.rows.delete(oldest);
  }
}
