/** What the console measures: the server's own figures, sampled, and how fast events come. Pure. */

/**
 * @typedef {object} Sample
 * @property {number} at Unix milliseconds
 * @property {number} running
 * @property {number} queued
 * @property {number} events a second
 */

/** Five minutes of samples, one each two seconds. */
export const SAMPLES = 150;

/**
 * @param {readonly Sample[]} samples
 * @param {Record<string, any>} status the answer to `tower.status`
 * @param {{at: number, total: number, before: {at: number, total: number} | null}} count events that came, now and at the last sample
 * @returns {Sample[]}
 */
export function sampled(samples, status, { at, total, before }) {
  const seconds = before ? (at - before.at) / 1_000 : 0;
  const events = before && seconds > 0 ? (total - before.total) / seconds : 0;
  const queued = Object.values(status.queues ?? {}).reduce((sum, waiting) => sum + Number(waiting), 0);
  return [...samples.slice(1 - SAMPLES), { at, running: status.slots?.running ?? 0, queued, events }];
}

/**
 * States of which the server has more processes than the table shows, although it said so before: no event tells
 * of a mission that was let go on and found no slot free.
 * @param {Record<string, any>} status
 * @param {Record<string, number>} counts the table's
 * @param {readonly string[]} before what this gave for the sample before
 * @returns {{missed: string[], again: string[]}} `again`: missed twice, to be listed anew
 */
export function missing({ processes = {} }, counts, before) {
  const missed = Object.keys(processes).filter((state) => processes[state] > (counts[state] ?? 0));
  return { missed, again: missed.filter((state) => before.includes(state)) };
}

/**
 * States of which the table lists the newest only, and how many there are of each.
 * @param {Record<string, any>} status
 * @param {Record<string, number>} counts the table's
 * @param {number} most how many of a state are asked for
 * @returns {{state: string, listed: number, all: number}[]}
 */
export function cut({ processes = {} }, counts, most) {
  return Object.keys(processes)
    .filter((state) => processes[state] > Math.max(most, counts[state] ?? 0))
    .map((state) => ({ state, listed: counts[state] ?? 0, all: processes[state] }));
}

/**
 * Clients, those that are farthest behind first.
 * @param {Record<string, any>} status
 * @returns {{connection_id: string, user_id: string | null, topics: string[], behind: number, buffered_bytes: number}[]}
 */
export function clientsOf({ clients = [], offset = 0 }) {
  const listed = clients.map((/** @type {any} */ client) => ({ ...client, behind: client.topics?.length ? Math.max(0, offset - client.offset) : 0 }));
  return listed.sort((/** @type {any} */ a, /** @type {any} */ b) => b.behind - a.behind || b.buffered_bytes - a.buffered_bytes);
}
