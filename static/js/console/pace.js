/**
 * The same command for many, at a pace that the server takes: a connection that goes on after being told that it is
 * too fast is closed. Pure but for the sleep that it is given.
 */

/** @typedef {import("../client.js").RpcError} RpcError */
/** @typedef {{done: number, failures: RpcError[]}} Outcome */

/** So many are on their way at once. */
const ABREAST = 8;
/** Each of them starts the next no sooner than this: 50 a second in all, half of what a connection may. */
const APART_MS = 160;

const SLEEP = (/** @type {number} */ ms) => new Promise((resume) => setTimeout(resume, ms));

/**
 * @param {string[]} ids
 * @param {(id: string) => Promise<unknown>} call
 * @param {(done: number) => void} tell how many were tried
 * @param {(ms: number) => Promise<unknown>} [sleep]
 * @returns {Promise<Outcome>} never rejected: what failed is in it
 */
export async function forEach(ids, call, tell, sleep = SLEEP) {
  const left = [...ids];
  /** @type {Outcome} */ const outcome = { done: 0, failures: [] };
  const tryOne = async (/** @type {string} */ id) => {
    try {
      await patiently(() => call(id), sleep);
      outcome.done += 1;
    } catch (error) {
      outcome.failures.push(/** @type {RpcError} */ (error));
    }
    tell(outcome.done + outcome.failures.length);
  };
  const worker = async () => {
    for (let id = left.shift(); id; id = left.shift()) await Promise.all([tryOne(id), left.length ? sleep(APART_MS) : undefined]);
  };
  await Promise.all(Array.from({ length: Math.min(ABREAST, ids.length) }, worker));
  return outcome;
}

/** The server says when it takes more; until then a command waits. @param {() => Promise<unknown>} call @param {(ms: number) => Promise<unknown>} sleep */
async function patiently(call, sleep) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const { code, retryAfterS } = /** @type {RpcError} */ (error);
      if (code !== "rate_limited") throw error;
      await sleep(1_000 * Math.max(retryAfterS ?? 1, 0.5));
    }
  }
}
