/** The conversations that both clients are held to; `tests/unit/server/test_client_conversations.py` plays them in Python. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

import { applyDelta, NO_TEXT, TowerClient } from "../../static/js/client.js";
import { FakeClock, fakeWebSockets, settle } from "./fakes.js";

const CONVERSATIONS = JSON.parse(readFileSync(new URL("conversations.json", import.meta.url), "utf8"));

/** Plays one conversation against the client; a step is a method of it. */
class Player {
  constructor({ subscribe, refreshable }) {
    this.clock = new FakeClock();
    this.net = fakeWebSockets();
    let [keys, tokens] = [0, 0];
    this.tower = new TowerClient({
      url: "ws://tower/ws",
      clock: this.clock,
      WebSocket: this.net.FakeWebSocket,
      random: () => 0.5,
      uuid: () => `key-${++keys}`,
      online: () => true,
      token: refreshable ? () => `fresh-${++tokens}` : () => "stale",
    });
    this.offsets = [];
    this.notes = [];
    this.streamed = NO_TEXT;
    this.outcomes = {};
    this.tower.on("event", (event) => {
      if (event.offset) this.offsets.push(event.offset);
      if (event.type === "llm.delta") this.streamed = applyDelta(this.streamed, event.data);
    });
    this.tower.on("gap", () => this.notes.push("history_gap"));
    this.tower.on("reset", () => this.notes.push("epoch_changed"));
    if (subscribe) {
      const { topics, ...options } = subscribe;
      this.tower.subscribe(topics, options).catch(() => {});
    }
    this.tower.connect().catch(() => {});
  }

  open() {
    if (this.tower.status.retryAt !== null) this.clock.advance(this.tower.status.retryAt - this.clock.now());
    this.net.last().open();
  }

  reply([method, result]) {
    this.net.last().reply(method, method === "hello" ? { heartbeat_s: 25, ...result } : result);
  }

  refuse([method, code, details = {}]) {
    const { id } = this.net.last().request(method);
    this.net.last().say({ jsonrpc: "2.0", id, error: { code: -32000, message: code, data: { code, details } } });
  }

  event(event) {
    this.net.last().event(event);
  }

  close([code, reason]) {
    this.net.last().drop(code, reason);
  }

  call([name, method, params]) {
    this.tower.call(method, params).then(
      (result) => (this.outcomes[name] = { result }),
      (error) => (this.outcomes[name] = { error: error.code }),
    );
  }

  ping(offset) {
    this.tower.retryNow();
    this.net.last().reply("ping", { offset });
  }

  sent([method, params]) {
    const request = this.net.last().request(method);
    assert.ok(request, `${method} was not sent`);
    for (const [name, value] of Object.entries(params)) assert.deepEqual(request.params[name], value, name);
  }

  not_sent(method) {
    assert.equal(this.net.last().request(method), undefined);
  }

  waits_ms(ms) {
    assert.equal(this.tower.status.retryAt - this.clock.now(), ms);
  }

  over() {
    assert.equal(this.tower.status.state, "closed");
  }

  given(offsets) {
    assert.deepEqual(this.offsets, offsets);
  }

  gaps(reasons) {
    assert.deepEqual(this.notes, reasons);
  }

  text(text) {
    assert.equal(this.streamed.text, text);
  }

  result([name, result]) {
    assert.deepEqual(this.outcomes[name], { result });
  }

  error([name, error]) {
    assert.deepEqual(this.outcomes[name], { error });
  }
}

describe("conversations", () => {
  for (const conversation of CONVERSATIONS) {
    it(conversation.name, async () => {
      const player = new Player(conversation);
      for (const step of conversation.steps) {
        for (const [verb, value] of Object.entries(step)) player[verb](value);
        await settle();
      }
    });
  }
});
