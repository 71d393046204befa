/** Which rows of a long list are drawn: those in sight and a few beyond. All have one height. Pure. */

const BEYOND = 8;

/**
 * @param {{scrollTop: number, height: number}} port what is in sight, in pixels; a height of 0 is one not measured yet
 * @param {number} rowHeight
 * @param {number} total
 * @returns {{from: number, to: number}} `to` is not drawn any more
 */
export function inSight({ scrollTop, height }, rowHeight, total) {
  const first = Math.floor(scrollTop / rowHeight);
  const from = Math.max(0, Math.min(first, total) - BEYOND);
  const to = Math.min(total, first + Math.ceil((height || 600) / rowHeight) + BEYOND);
  return { from: Math.min(from, to), to };
}

/**
 * Where to scroll so that a row is in sight, as little as possible.
 * @param {{scrollTop: number, height: number}} port
 * @param {number} rowHeight
 * @param {number} index
 * @returns {number}
 */
export function revealing({ scrollTop, height }, rowHeight, index) {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  return Math.max(scrollTop, top + rowHeight - height);
}
