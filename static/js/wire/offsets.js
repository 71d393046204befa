/** The set of offsets a client was given: exact, and one bit for each, so that a page may stay open for weeks. */

const PAGE_BITS = 4096;

/** A growing bitmap over offsets, kept in pages because the offsets of one session lie scattered over the log. */
export class SeenOffsets {
  /** @type {Map<number, Uint32Array>} */
  #pages = new Map();

  /**
   * Adds an offset.
   * @param {number} offset an integer from 1
   * @returns {boolean} false when it was there already
   */
  add(offset) {
    const number = Math.floor(offset / PAGE_BITS);
    const bit = offset % PAGE_BITS;
    let page = this.#pages.get(number);
    if (!page) {
      page = new Uint32Array(PAGE_BITS / 32);
      this.#pages.set(number, page);
    }
    const mask = 1 << (bit & 31);
    if (page[bit >> 5] & mask) return false;
    page[bit >> 5] |= mask;
    return true;
  }

  /** Forgets everything: the log was replaced. */
  clear() {
    this.#pages.clear();
  }
}
