/** A clock that moves only when told, and a WebSocket whose server side is the test. */

export class FakeClock {
  #now = 1_000_000;
  #timers = new Map();
  #next = 1;

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    this.#timers.set(this.#next, { callback, at: this.#now + ms });
    return this.#next++;
  };

  clearTimeout = (timer) => void this.#timers.delete(timer);

  /** Moves on by `ms`, running what falls due in order. */
  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].callback();
    }
    this.#now = end;
  }
}

/** Makes a WebSocket class; every socket that was opened is in `sockets`. */
export function fakeWebSockets() {
  const sockets = [];
  class FakeWebSocket {
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [], closed: null });
      sockets.push(this);
    }

    send(text) {
      this.sent.push(JSON.parse(text));
    }

    close(code) {
      this.closed = code;
    }

    // What the server does:

    open() {
      this.onopen();
    }

    say(message) {
      this.onmessage({ data: JSON.stringify(message) });
    }

    event(params) {
      this.say({ jsonrpc: "2.0", method: "event", params: { at: "2026-11-21T20:12:03.123Z", data: {}, ...params } });
    }

    /** The last request of a method that has no answer yet. */
    request(method) {
      return this.sent.findLast((message) => message.method === method);
    }

    reply(method, result) {
      this.say({ jsonrpc: "2.0", id: this.request(method).id, result });
    }

    refuse(method, code) {
      this.say({ jsonrpc: "2.0", id: this.request(method).id, error: { code: -32000, message: code, data: { code } } });
    }

    greet(hello = {}) {
      this.open();
      this.reply("hello", { connection_id: "c", user_id: "local", epoch: "e1", offset: 0, heartbeat_s: 25, limits: {}, ...hello });
    }

    drop(code = 1006, reason = "") {
      this.onclose({ code, reason });
    }
  }
  return { sockets, FakeWebSocket, last: () => sockets.at(-1) };
}

/** Lets promises settle. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));
