/**
 * One WebSocket's life: opened in time, heard from often enough, closed once. It knows frames, not what they mean.
 *
 * Browsers hide the server's pings from scripts, so silence is measured over messages: when nothing came for
 * longer than the heartbeat, the owner is asked to ping, and a socket that stays silent then is given up at once
 * (a half-open socket would take minutes to report its own close).
 */

/** @typedef {import("./types.js").Clock} Clock */

/**
 * @typedef {object} Handlers
 * @property {() => void} onOpen
 * @property {(message: Record<string, any>) => void} onMessage
 * @property {(code: number, reason: string) => void} onClose called exactly once, unless {@link Connection.end} came first
 * @property {() => void} onIdle send something that will be answered
 */

const OPEN_MS = 10_000;
const PONG_MS = 10_000;
const IDLE_SLACK_MS = 10_000;

/** A socket with deadlines. */
export class Connection {
  /** @type {WebSocket} */ #socket;
  /** @type {Handlers} */ #handlers;
  /** @type {Clock} */ #clock;
  /** @type {any} */ #timer;
  #heardAt = 0;
  #idleMs = 0;
  #probing = false;
  #over = false;

  /**
   * @param {() => WebSocket} open
   * @param {Clock} clock
   * @param {Handlers} handlers
   */
  constructor(open, clock, handlers) {
    this.#clock = clock;
    this.#handlers = handlers;
    this.#socket = open();
    this.#socket.onopen = () => this.#over || handlers.onOpen();
    this.#socket.onmessage = (message) => this.#receive(message.data);
    this.#socket.onclose = (close) => this.#finish(close.code, close.reason);
    this.#socket.onerror = () => {};
    this.#timer = clock.setTimeout(() => this.drop(1006, "not opened in time"), OPEN_MS);
  }

  /**
   * Greeted: from now on only silence ends it.
   * @param {number} heartbeatS the server's
   */
  keepAlive(heartbeatS) {
    this.#idleMs = heartbeatS * 1000 + IDLE_SLACK_MS;
    this.#heardAt = this.#clock.now();
    this.#watch(this.#idleMs);
  }

  /** Asks for a sign of life now, as after sleep. */
  probe() {
    if (this.#over || this.#probing || !this.#idleMs) return;
    this.#probing = true;
    this.#handlers.onIdle();
    this.#watch(PONG_MS);
  }

  /** @param {object} message @returns {void} */
  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  /**
   * Gives the socket up without waiting for its closing handshake, and says so.
   * @param {number} code what to report
   * @param {string} reason
   */
  drop(code, reason) {
    if (this.#over) return;
    this.#release(1000);
    this.#handlers.onClose(code, reason);
  }

  /** Ends it in silence: `onClose` is not called. @param {number} [code] */
  end(code = 1000) {
    if (!this.#over) this.#release(code);
  }

  /** @param {unknown} data */
  #receive(data) {
    if (this.#over) return;
    this.#heardAt = this.#clock.now();
    this.#probing = false;
    let message;
    try {
      message = JSON.parse(String(data));
    } catch {
      return this.drop(1011, "a message that is not JSON");
    }
    if (message && typeof message === "object") this.#handlers.onMessage(message);
  }

  /** @param {number} ms */
  #watch(ms) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#check(), ms);
  }

  #check() {
    if (this.#probing) return this.drop(1006, "no answer to a ping");
    const left = this.#heardAt + this.#idleMs - this.#clock.now();
    if (left > 0) this.#watch(left);
    else this.probe();
  }

  /** @param {number} code @param {string} reason */
  #finish(code, reason) {
    if (this.#over) return;
    this.#over = true;
    this.#clock.clearTimeout(this.#timer);
    this.#handlers.onClose(code, reason);
  }

  /** @param {number} code */
  #release(code) {
    this.#over = true;
    this.#clock.clearTimeout(this.#timer);
    try {
      this.#socket.close(code);
    } catch {
      // Closing a socket that is still connecting throws in some runtimes; it is given up either way.
    }
  }
}
