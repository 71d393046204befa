/**
 * Where each topic resumes: the sans-IO core of subscriptions.
 *
 * One number, `head`, resumes every topic that is up to date. A topic that is still being replayed resumes with its
 * own `since` until its `replay.done`. After a reconnect a replay may bring an event again (it reached us for one
 * topic and now comes for another); the bitmap of seen offsets drops exactly those.
 */

import { SeenOffsets } from "./offsets.js";

/** @typedef {number | "now" | "start"} Since an offset, or from now on, or everything retained */

/**
 * @typedef {object} TopicOptions
 * @property {Since} [since] default `"now"`
 * @property {string[]} [types] globs of event types
 * @property {boolean} [deltas] default true
 * @property {Record<string, unknown>} [where] topic `system` only
 */

/**
 * @typedef {object} Entry
 * @property {Since} origin what the application asked for
 * @property {number | null} floor resumes from here at least; null while attached "now" without an answer yet
 * @property {boolean} replaying until `replay.done`
 * @property {boolean} implicit came with a submit, ends with its mission
 * @property {boolean} asked the server was asked for it on this connection
 * @property {boolean} attached the server has answered that, on this connection
 * @property {Omit<TopicOptions, "since">} options
 */

/** @typedef {{topics: string[], since: Since, epoch?: string, types?: string[], deltas?: boolean, where?: Record<string, unknown>}} SubscribeParams */

/** The topics of a client, and from where each would resume. */
export class TopicBook {
  /** Every event of an up-to-date topic up to here has arrived. */
  head = 0;
  /** @type {string | null} */ epoch = null;
  /** @type {Map<string, Entry>} */ #entries = new Map();
  #seen = new SeenOffsets();

  /** @returns {string[]} */
  get topics() {
    return [...this.#entries.keys()];
  }

  /**
   * Notes that the application wants topics; subscribing again replaces their options. "Now" leaves a topic where it
   * is, as it does on the server: what has come since then, as while the line was down, is not skipped.
   * @param {string[]} topics
   * @param {TopicOptions} [options]
   */
  want(topics, { since = "now", ...options } = {}) {
    const begin = since === "start" ? 0 : since === "now" ? null : since;
    const fresh = { origin: since, floor: begin, replaying: begin !== null };
    for (const topic of topics) {
      const { origin, floor, replaying } = (since === "now" && this.#entries.get(topic)) || fresh;
      this.#entries.set(topic, { origin, floor, replaying, implicit: false, asked: true, attached: false, options });
    }
  }

  /**
   * Notes the subscription that a submit brings with it. It is asked for only after a reconnect, or at once when
   * the submit had to be sent twice: its first events may then lie before `head`. So they may when the reply itself
   * came late; but then the server replays them behind it, unasked.
   * @param {string} topic
   * @param {number} since `head` when the submit was first sent: all of its events come after that
   * @param {number} offset the reply's
   * @param {boolean} repeated
   * @returns {SubscribeParams | null} what to subscribe now
   */
  wantImplicitly(topic, since, offset, repeated) {
    if (this.#entries.has(topic)) return null;
    const replaying = repeated || offset <= this.head;
    this.#entries.set(topic, { origin: since, floor: since, replaying, implicit: true, asked: repeated, attached: false, options: {} });
    return repeated ? { topics: [topic], since, ...this.#epochFor(since) } : null;
  }

  /**
   * Ends an implicit subscription with its mission.
   * @param {string} topic
   * @returns {boolean} whether the server has to be told (it ends its own by itself, ours after a reconnect not)
   */
  endImplicit(topic) {
    const entry = this.#entries.get(topic);
    if (!entry?.implicit) return false;
    this.#entries.delete(topic);
    return entry.asked;
  }

  /** @param {string[]} topics */
  drop(topics) {
    for (const topic of topics) this.#entries.delete(topic);
  }

  /**
   * The server's answer to a subscribe.
   * @param {string[]} topics
   * @param {{offset: number, epoch: string, recovered?: boolean, reason?: string}} reply
   * @returns {"attached" | "gap" | "replaced"} `replaced`: the log is another one; call {@link reset}, then ask again
   */
  attached(topics, reply) {
    if (reply.recovered === false && reply.reason === "epoch_changed") return "replaced";
    this.epoch = reply.epoch;
    for (const topic of topics) {
      const entry = this.#entries.get(topic);
      if (!entry) continue;
      entry.attached = true;
      if (reply.recovered !== false && entry.floor !== null) continue;
      entry.floor = reply.offset;
      entry.replaying = false;
    }
    return reply.recovered === false ? "gap" : "attached";
  }

  /** @param {{topics: string[], offset: number}} done */
  replayDone({ topics, offset }) {
    for (const topic of topics) {
      const entry = this.#entries.get(topic);
      if (!entry) continue;
      entry.replaying = false;
      entry.floor = Math.max(entry.floor ?? 0, offset);
    }
  }

  /**
   * Whether an event is new; a durable one that is moves `head`.
   * @param {{offset?: number}} event
   * @returns {boolean} false for one that was delivered before
   */
  accept({ offset }) {
    if (offset === undefined) return true;
    if (!this.#seen.add(offset)) return false;
    if (offset > this.head) this.head = offset;
    return true;
  }

  /** Whether older events are still coming. @returns {boolean} */
  get replaying() {
    return [...this.#entries.values()].some((entry) => entry.replaying);
  }

  /**
   * The answer to a `ping`: everything up to it was written to us. During a replay that moves only the topics which
   * are replayed, so that a drop does not begin them again; of what the others have had, it says nothing.
   * @param {number} offset
   */
  settle(offset) {
    if (!this.replaying && offset > this.head) this.head = offset;
    for (const entry of this.#entries.values()) {
      if (entry.replaying && entry.attached && offset > (entry.floor ?? 0)) entry.floor = offset;
    }
  }

  /** The log was replaced: nothing that was seen means anything now. @param {string} epoch */
  reset(epoch) {
    this.epoch = epoch;
    this.head = 0;
    this.#seen.clear();
    for (const entry of this.#entries.values()) {
      entry.floor = entry.origin === "start" ? 0 : null;
      entry.replaying = entry.floor !== null;
    }
  }

  /**
   * What to subscribe on a new connection, in as few calls as the topics' places and options allow.
   * @returns {SubscribeParams[]}
   */
  plan() {
    /** @type {Map<string, SubscribeParams>} */
    const groups = new Map();
    for (const [topic, entry] of this.#entries) {
      const since = this.#resumeFrom(entry);
      const key = JSON.stringify([since, entry.options]);
      const group = groups.get(key);
      if (group) group.topics.push(topic);
      else groups.set(key, { topics: [topic], since, ...this.#epochFor(since), ...entry.options });
      entry.asked = true;
      entry.attached = false;
      if (since !== "now") {
        entry.floor = /** @type {number} */ (since);
        entry.replaying = true;
      }
    }
    return [...groups.values()];
  }

  /** @param {Entry} entry @returns {Since} */
  #resumeFrom(entry) {
    if (entry.floor === null) return "now";
    return entry.replaying ? entry.floor : Math.max(this.head, entry.floor);
  }

  /** @param {Since} since @returns {{epoch?: string}} */
  #epochFor(since) {
    return since === "now" || this.epoch === null ? {} : { epoch: this.epoch };
  }
}
