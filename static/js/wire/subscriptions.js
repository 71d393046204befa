/**
 * Subscriptions over reconnects: asks the server for what the book of topics says, and acts on its answers.
 *
 * Replies are handled in the very turn in which they arrive, never in a later microtask: some runtimes hand over
 * several messages in one turn, and the events right behind a reply already count on it.
 */

import { KEYED_METHODS } from "./calls.js";
import { TopicBook } from "./topics.js";

/** @typedef {import("./types.js").TowerEvent} TowerEvent */
/** @typedef {import("./types.js").TopicOptions} TopicOptions */
/** @typedef {import("./types.js").Subscribed} Subscribed */
/** @typedef {import("./topics.js").SubscribeParams} SubscribeParams */
/** @typedef {import("./errors.js").RpcError} RpcError */

/**
 * @typedef {object} Port
 * @property {(method: string, params: object, done: (error: RpcError | null, result?: any) => void) => void} request
 * @property {(kind: string, payload: unknown) => void} notify
 * @property {(reason: string) => void} giveUp drop this connection and try again later
 */

/** @typedef {{topics: string[], resolve: (result: Subscribed) => void, reject: (error: RpcError) => void}} Waiter */

/** Errors for which asking again for the same topic makes no sense. */
const FINAL = new Set(["not_found", "forbidden", "invalid_params", "unauthenticated"]);

/** So many events into a replay, the server is asked how far it has got: a drop then costs at most these. */
const PING_EVERY = 1_000;

/** The topics of one client, wherever its connection is. */
export class Subscriptions {
  #replayed = 0;
  /** @type {Waiter[]} */ #waiters = [];
  #book = new TopicBook();
  #port;

  /** @param {Port} port */
  constructor(port) {
    this.#port = port;
  }

  /** @returns {{offset: number, epoch: string | null}} */
  get position() {
    return { offset: this.#book.head, epoch: this.#book.epoch };
  }

  /**
   * @param {string[]} topics
   * @param {TopicOptions} options
   * @param {boolean} connected ask now, or leave it to {@link resume}
   * @returns {Promise<Subscribed>}
   */
  subscribe(topics, options, connected) {
    this.#book.want(topics, options);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ topics, resolve, reject });
      if (connected) this.#ask({ topics, since: "now", ...options });
    });
  }

  /** @param {string[]} topics @param {boolean} connected @returns {Promise<void>} */
  unsubscribe(topics, connected) {
    this.#book.drop(topics);
    return new Promise((resolve) => {
      if (connected) this.#port.request("unsubscribe", { topics }, () => resolve());
      else resolve();
    });
  }

  /**
   * A new connection was greeted: asks for every topic from where it is.
   * @param {string} epoch the server's
   * @param {() => void} ready every topic is attached
   */
  resume(epoch, ready) {
    if (this.#book.epoch !== null && this.#book.epoch !== epoch) this.#reset(epoch);
    else this.#book.epoch = epoch;
    this.#askAll(ready);
  }

  /** There will be no connection, unless somebody connects anew: then every topic is asked for as ever. @param {RpcError} error */
  shut(error) {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  /** @param {TowerEvent} event @returns {boolean} whether it is new */
  accept(event) {
    if (event.type === "replay.done") this.#book.replayDone(/** @type {any} */ (event.data));
    if (event.offset !== undefined && this.#book.replaying && ++this.#replayed % PING_EVERY === 0) this.ping();
    return this.#book.accept(event);
  }

  /** Asks up to where everything was written, and notes it. */
  ping() {
    this.#port.request("ping", {}, (_, result) => result && this.#book.settle(result.offset));
  }

  /**
   * A submit or a message was answered: the server gives this connection the mission's events until its end, and the next
   * connection has to ask for the rest of them.
   * @param {import("./calls.js").Call} call
   * @param {any} result
   */
  followMission(call, result) {
    if (!KEYED_METHODS.has(call.method) || call.params.subscribe === false || !result?.mission_id) return;
    const repeated = call.sends > 1 || result.duplicate === true;
    const params = this.#book.wantImplicitly(`mission:${result.mission_id}`, call.head, result.offset, repeated);
    if (params) this.#ask(params);
  }

  /** @param {string} missionId */
  missionEnded(missionId) {
    const topic = `mission:${missionId}`;
    if (this.#book.endImplicit(topic)) this.#port.request("unsubscribe", { topics: [topic] }, () => {});
  }

  /** @param {() => void} [ready] */
  #askAll(ready = () => {}) {
    const plan = this.#book.plan();
    let left = plan.length;
    if (!left) return ready();
    for (const params of plan) {
      this.#ask(params, () => {
        left -= 1;
        if (!left) ready();
      });
    }
  }

  /** @param {SubscribeParams} params @param {() => void} [answered] */
  #ask(params, answered = () => {}) {
    this.#port.request("subscribe", params, (error, result) => {
      if (error) this.#refused(params, error, answered);
      else if (this.#attached(params, result)) answered();
    });
  }

  /** @param {SubscribeParams} params @param {Subscribed} result @returns {boolean} false: everything is asked again */
  #attached(params, result) {
    const outcome = this.#book.attached(params.topics, result);
    if (outcome === "replaced") {
      this.#reset(result.epoch);
      this.#port.giveUp("the log was replaced");
      return false;
    }
    this.#port.notify("subscribed", { topics: params.topics, since: params.since, result });
    if (outcome === "gap") this.#port.notify("gap", { topics: params.topics, floor: result.floor, result });
    for (const waiter of this.#takeWaiters(params.topics)) waiter.resolve(result);
    return true;
  }

  /** One bad topic refuses a whole call, so they are asked one by one. @param {SubscribeParams} params @param {RpcError} error @param {() => void} answered */
  #refused(params, error, answered) {
    if (!FINAL.has(error.code)) return this.#port.giveUp(error.message);
    const alone = this.#takeWaiters(params.topics);
    if (params.topics.length === 1 || alone.some((waiter) => waiter.topics.length === params.topics.length)) {
      this.#book.drop(params.topics);
      for (const waiter of alone) waiter.reject(error);
      if (!alone.length) this.#port.notify("lost", { topics: params.topics, error });
      return answered();
    }
    this.#waiters.push(...alone);
    let left = params.topics.length;
    for (const topic of params.topics) {
      this.#ask({ ...params, topics: [topic] }, () => {
        left -= 1;
        if (!left) answered();
      });
    }
    return undefined;
  }

  /** @param {string} epoch */
  #reset(epoch) {
    this.#book.reset(epoch);
    this.#port.notify("reset", { epoch });
  }

  /** @param {string[]} topics @returns {Waiter[]} those whose topics are all among these */
  #takeWaiters(topics) {
    const among = new Set(topics);
    const [taken, left] = [/** @type {Waiter[]} */ ([]), /** @type {Waiter[]} */ ([])];
    for (const waiter of this.#waiters) (waiter.topics.every((topic) => among.has(topic)) ? taken : left).push(waiter);
    this.#waiters = left;
    return taken;
  }
}
