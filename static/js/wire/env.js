/** What the client takes from its surroundings unless it is given something else. */

/** @typedef {import("./types.js").Clock} Clock */

/** @type {Clock} */
export const SYSTEM_CLOCK = Object.freeze({
  now: () => Date.now(),
  setTimeout: (/** @type {() => void} */ callback, /** @type {number} */ ms) => setTimeout(callback, ms),
  clearTimeout: (/** @type {any} */ timer) => clearTimeout(timer),
});

/** @returns {boolean} false only where the platform knows that there is no network */
export function isOnline() {
  return globalThis.navigator?.onLine !== false;
}

/**
 * @template T
 * @typedef {object} Deferred
 * @property {Promise<T>} promise
 * @property {(value: T) => void} resolve
 * @property {(error: Error) => void} reject
 */

/**
 * A promise with its two ends; its rejection may stay unhandled.
 * @template T
 * @returns {Deferred<T>}
 */
export function deferred() {
  /** @type {(value: T) => void} */ let resolve = () => {};
  /** @type {(error: Error) => void} */ let reject = () => {};
  const promise = new Promise((/** @type {(value: T) => void} */ yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
