/**
 * The public client of `/ws`: one connection to a Control Tower that survives drops, restarts and sleep.
 *
 * It owns the socket and the timers, and decides little: where topics resume (`wire/topics.js`), what becomes of
 * calls (`wire/calls.js`) and when to reconnect (`wire/close_codes.js`) are pure modules. No dependency; runs in
 * browsers and, given a `WebSocket` constructor, in Node from version 20.
 *
 * What it promises: an event of a subscribed topic reaches listeners once, over any number of reconnects, and in
 * order among the topics of one `subscribe`. After a reconnect each subscription is replayed by itself, so that an
 * event of one may overtake older ones of another until the `replay.done` of both. Where the server cannot resume,
 * it says so, as `gap` or `reset`, and the application reloads.
 *
 * @example
 * const tower = new TowerClient({ url: "ws://127.0.0.1:8000/ws" });
 * tower.on("event", (event) => console.log(event.type, event.data));
 * await tower.connect();
 * const { outcome, result } = await tower.run("calculate 6*7");
 */

import { CallBook, disconnected, KEYED_METHODS } from "./wire/calls.js";
import { closePolicy, RECONNECT, reconnectDelayMs, retryHintMs } from "./wire/close_codes.js";
import { Connection } from "./wire/connection.js";
import { deferred, isOnline, SYSTEM_CLOCK } from "./wire/env.js";
import { RpcError } from "./wire/errors.js";
import { runMission, TERMINAL_TYPES } from "./wire/run.js";
import { Subscriptions } from "./wire/subscriptions.js";

export { CLOSE_CODES, closePolicy, RECONNECT, reconnectDelayMs } from "./wire/close_codes.js";
export { applyDelta, NO_TEXT } from "./wire/deltas.js";
export { RpcError } from "./wire/errors.js";
export { TERMINAL_TYPES } from "./wire/run.js";

/** @typedef {import("./wire/types.js").Options} Options */
/** @typedef {import("./wire/types.js").CallOptions} CallOptions */
/** @typedef {import("./wire/types.js").TopicOptions} TopicOptions */
/** @typedef {import("./wire/types.js").TowerEvent} TowerEvent */
/** @typedef {import("./wire/types.js").Status} Status */
/** @typedef {import("./wire/types.js").Hello} Hello */
/** @typedef {import("./wire/types.js").Subscribed} Subscribed */
/** @typedef {import("./wire/types.js").Notifications} Notifications */
/** @typedef {import("./wire/types.js").Clock} Clock */

const CALL_MS = 60_000;
const FRAME_BYTES = 65_536;

/** Refusals of `hello` that no later try will be spared. */
const FOR_GOOD = new Set(["forbidden", "invalid_params", "conflict", "method_not_found", "not_found"]);

/** A client of one Control Tower. */
export class TowerClient {
  /** @type {Status} */ #status = { state: "closed", retryAt: null, attempt: 0, code: null, reason: "not connected yet" };
  /** @type {Hello | null} */ #hello = null;
  /** @type {Connection | null} */ #connection = null;
  /** @type {Map<string, Set<(payload: any) => void>>} */ #listeners = new Map();
  /** @type {Map<string, {method: string, done: (error: RpcError | null, result?: any) => void}>} */ #requests = new Map();
  /** @type {import("./wire/env.js").Deferred<Hello> | null} */ #ready = null;
  /** @type {any} */ #timer;
  #calls = new CallBook();
  #subscriptions;
  #nextRequest = 1;
  #attempt = 0;
  #liveAt = 0;
  #drainHintMs = 0;
  #refused = false;
  /** @type {string | undefined} */ #token;
  #encoder = new TextEncoder();

  /** @param {Options} options */
  constructor(options) {
    /** @readonly @type {Options} */ this.options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.#subscriptions = new Subscriptions({
      request: (method, params, done) => this.#request(method, params, done),
      notify: (kind, payload) => this.#notify(kind, payload),
      giveUp: (reason) => this.#connection?.drop(1011, reason),
    });
  }

  /** How the connection is; `on("status")` tells of changes. @returns {Status} */
  get status() {
    return this.#status;
  }

  /** The server's last answer to `hello`. @returns {Hello | null} */
  get hello() {
    return this.#hello;
  }

  /** What to keep to resume later with `subscribe(topics, {since})`. @returns {{offset: number, epoch: string | null}} */
  get position() {
    return this.#subscriptions.position;
  }

  /**
   * Connects, and stays connected until {@link close}.
   * @returns {Promise<Hello>} once live; rejected when a close says that trying again is pointless
   */
  connect() {
    if (this.#ready && this.#status.state !== "closed") return this.#ready.promise;
    const ready = /** @type {import("./wire/env.js").Deferred<Hello>} */ (deferred());
    this.#ready = ready;
    this.#attempt = 0;
    this.#open();
    return ready.promise;
  }

  /** Disconnects for good; everything pending is rejected with `closed`. */
  close() {
    this.clock.clearTimeout(this.#timer);
    this.#connection?.end(1000);
    this.#connection = null;
    this.#shut(1000, "closed here");
  }

  /** Tries now instead of at the planned time; when live, checks that the connection really is. */
  retryNow() {
    if (this.#status.state === "live") return this.#connection?.probe();
    if (this.#status.retryAt === null) return undefined;
    this.clock.clearTimeout(this.#timer);
    return this.#open();
  }

  /**
   * Listens.
   * @template {keyof Notifications} K
   * @param {K} kind
   * @param {(payload: Notifications[K]) => void} listener
   * @returns {() => void} stops listening
   */
  on(kind, listener) {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * Calls a method. Over a lost connection a call that is safe to repeat is sent again (reads, answers, and commands
   * with an `idempotency_key`, which submit and message.send get by themselves); any other that was sent is
   * rejected with `disconnected`; one made while there is no connection waits for it.
   * @param {string} method
   * @param {Record<string, unknown>} [params]
   * @param {CallOptions} [options]
   * @returns {Promise<any>} the result; rejected with an {@link RpcError}
   */
  call(method, params = {}, { timeoutMs = CALL_MS, signal } = {}) {
    const keyed = KEYED_METHODS.has(method) && !params.idempotency_key ? { ...params, idempotency_key: this.#key() } : params;
    let abort = () => {};
    const reply = new Promise((resolve, reject) => {
      const call = this.#calls.add({ method, params: keyed, resolve, reject, head: this.position.offset });
      const giveUp = (/** @type {string} */ code, /** @type {string} */ message) => {
        if (this.#calls.take(call.id)) this.#fail(call, new RpcError(code, message, { method }));
      };
      abort = () => giveUp("aborted", "Given up.");
      if (signal?.aborted) return abort();
      if (timeoutMs > 0) call.timer = this.clock.setTimeout(() => giveUp("timeout", "No answer in time."), timeoutMs);
      if (this.#greeted) this.#send(call);
    });
    if (!signal) return reply;
    // A signal may outlive any number of calls.
    signal.addEventListener("abort", abort);
    return reply.finally(() => signal.removeEventListener("abort", abort));
  }

  /**
   * Subscribes topics, now and after every reconnect.
   * @param {string[]} topics
   * @param {TopicOptions} [options] as in the wire's `subscribe`; the events of a replay come before live ones
   * @returns {Promise<Subscribed>}
   */
  subscribe(topics, options = {}) {
    return this.#subscriptions.subscribe(topics, options, this.#greeted);
  }

  /** @param {string[]} topics @returns {Promise<void>} */
  unsubscribe(topics) {
    return this.#subscriptions.unsubscribe(topics, this.#greeted);
  }

  /**
   * Submits a mission and waits for its end, over reconnects too. Its questions come as `interrupt.raised` events;
   * answer them with `call("confirm", …)` and the like.
   * @param {string} mission
   * @param {Record<string, unknown>} [params] more of `mission.submit`
   * @returns {Promise<Record<string, any>>} its process control block, with `outcome` and `result` or `error`
   */
  run(mission, params = {}) {
    return runMission(this, mission, params);
  }

  get #greeted() {
    return this.#hello !== null && this.#connection !== null;
  }

  #key() {
    return (this.options.uuid ?? (() => crypto.randomUUID()))();
  }

  #open() {
    this.#become({ state: this.#liveAt || this.#attempt ? "reconnecting" : "connecting", retryAt: null });
    const Socket = this.options.WebSocket ?? globalThis.WebSocket;
    const connection = new Connection(() => new Socket(this.options.url, this.options.protocols ?? ["tower.v1"]), this.clock, {
      onOpen: () => this.#greet(connection),
      onMessage: (message) => this.#receive(message),
      onClose: (code, reason) => this.#lost(code, reason),
      onIdle: () => this.#subscriptions.ping(),
    });
    this.#connection = connection;
  }

  /** @param {Connection} connection */
  #greet(connection) {
    const { userId, client } = this.options;
    const token = (this.#token = this.#freshToken());
    const params = { ...(token && { token }), ...(userId && { user_id: userId }), ...(client && { client }) };
    this.#request("hello", params, (error, hello) => {
      if (error) this.#unwelcome(connection, error);
      else this.#welcome(connection, hello);
    });
  }

  #freshToken() {
    const { token } = this.options;
    return typeof token === "function" ? token() : token;
  }

  /** @param {Connection} connection @param {RpcError} error */
  #unwelcome(connection, error) {
    if (error.code === "unauthenticated") return connection.drop(4401, error.message);
    if (!FOR_GOOD.has(error.code)) return connection.drop(1011, `${error.message} retry_after_ms=${Math.ceil((error.retryAfterS ?? 0) * 1000)}`);
    connection.end();
    this.#connection = null;
    return this.#shut(1008, error.message, error);
  }

  /** @param {Connection} connection @param {Hello} hello */
  #welcome(connection, hello) {
    this.#hello = hello;
    this.#refused = false;
    connection.keepAlive(hello.heartbeat_s ?? 25);
    this.#subscriptions.resume(hello.epoch, () => {
      if (this.#connection !== connection) return;
      this.#liveAt = this.clock.now();
      this.#become({ state: "live", retryAt: null, code: null, reason: "" });
      this.#ready?.resolve(hello);
    });
    for (const call of this.#calls.waiting()) this.#send(call);
  }

  /** @param {import("./wire/calls.js").Call} call */
  #send(call) {
    const message = { jsonrpc: "2.0", id: call.id, method: call.method, params: call.params };
    if (this.#encoder.encode(JSON.stringify(message)).length > (this.#hello?.limits?.max_frame_bytes ?? FRAME_BYTES)) {
      this.#calls.take(call.id);
      return this.#fail(call, new RpcError("too_large", "Too long to be sent in one message.", { method: call.method }));
    }
    call.sends += 1;
    return this.#connection?.send(message);
  }

  /** @param {string} method @param {object} params @param {(error: RpcError | null, result?: any) => void} done */
  #request(method, params, done) {
    const id = `c${this.#nextRequest++}`;
    this.#requests.set(id, { method, done });
    this.#connection?.send({ jsonrpc: "2.0", id, method, params });
  }

  /** @param {Record<string, any>} message */
  #receive(message) {
    if (message.method === "event") return this.#deliver(message.params);
    const request = this.#requests.get(message.id);
    if (request) {
      this.#requests.delete(message.id);
      return request.done(message.error ? RpcError.fromWire(message.error, request.method) : null, message.result);
    }
    const call = typeof message.id === "number" ? this.#calls.take(message.id) : undefined;
    if (!call) return undefined;
    if (message.error) return this.#fail(call, RpcError.fromWire(message.error, call.method));
    this.clock.clearTimeout(call.timer);
    this.#subscriptions.followMission(call, message.result);
    return call.resolve(message.result);
  }

  /** @param {TowerEvent} event */
  #deliver(event) {
    // Also when another topic has brought it before the reply of its submit.
    if (TERMINAL_TYPES.has(event.type) && event.mission_id) this.#subscriptions.missionEnded(event.mission_id);
    if (!this.#subscriptions.accept(event)) return;
    if (event.type === "tower.draining") this.#drainHintMs = Number(event.data?.retry_after_ms) || 0;
    this.#notify("event", event);
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    const policy = closePolicy(code);
    const wasLive = this.#status.state === "live";
    this.#connection = null;
    this.#abandonRequests();
    if (!policy.reconnect && !this.#hasAnotherToken(code)) return this.#shut(code, reason || policy.meaning);
    for (const call of this.#calls.drop()) this.#fail(call, disconnected(call));
    if (wasLive && this.clock.now() - this.#liveAt >= RECONNECT.settled_ms) this.#attempt = 0;
    const least = Math.max(retryHintMs(reason) ?? this.#drainHintMs, policy.least_ms ?? 0);
    const online = (this.options.online ?? isOnline)();
    const delay = online ? reconnectDelayMs(this.#attempt, this.options.random ?? Math.random, least) : RECONNECT.cap_ms;
    this.#drainHintMs = 0;
    this.#attempt += 1;
    this.#timer = this.clock.setTimeout(() => this.#open(), delay);
    const state = online ? "reconnecting" : "offline";
    return this.#become({ state, retryAt: this.clock.now() + delay, code, reason: policy.meaning });
  }

  /** Whether the token was refused, and there is a fresh one: it is tried once. @param {number} code */
  #hasAnotherToken(code) {
    if (code !== 4401 || this.#refused || this.#freshToken() === this.#token) return false;
    this.#refused = true;
    return true;
  }

  /** @param {number} code @param {string} reason @param {RpcError} [cause] */
  #shut(code, reason, cause) {
    this.#abandonRequests();
    const error = cause ?? new RpcError(code === 4401 ? "unauthenticated" : "closed", `The connection is closed: ${reason}.`);
    for (const call of this.#calls.clear()) this.#fail(call, error);
    this.#subscriptions.shut(error);
    this.#ready?.reject(error);
    this.#become({ state: "closed", retryAt: null, code, reason });
  }

  /** The client's own requests belong to one connection; what they were for is asked again on the next. */
  #abandonRequests() {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    this.#hello = null;
    for (const { method, done } of requests) done(new RpcError("disconnected", "The connection was lost.", { method }));
  }

  /** @param {import("./wire/calls.js").Call} call @param {RpcError} error */
  #fail(call, error) {
    this.clock.clearTimeout(call.timer);
    call.reject(error);
  }

  /** @param {Partial<Status>} change */
  #become(change) {
    this.#status = { ...this.#status, attempt: this.#attempt, ...change };
    this.#notify("status", this.#status);
  }

  /** A listener that throws must not stop the others, nor the connection. @param {string} kind @param {unknown} payload */
  #notify(kind, payload) {
    for (const listener of this.#listeners.get(kind) ?? []) {
      try {
        listener(payload);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}
