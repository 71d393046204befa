import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";

import { TowerClient } from "../../static/js/client.js";
import { FakeClock, fakeWebSockets, settle } from "./fakes.js";

let clock, net, tower, seen, states;

/** A client on the fake clock; jitter always draws the middle. */
function make(options = {}) {
  clock = new FakeClock();
  net = fakeWebSockets();
  let keys = 0;
  tower = new TowerClient({
    url: "ws://tower/ws",
    clock,
    WebSocket: net.FakeWebSocket,
    random: () => 0.5,
    uuid: () => `key-${++keys}`,
    online: () => true,
    ...options,
  });
  seen = [];
  states = [];
  tower.on("event", (event) => event.offset && seen.push(event.offset));
  tower.on("status", (status) => states.push(status.state));
}

/** Connects and greets. */
async function live(hello) {
  const ready = tower.connect();
  net.last().greet(hello);
  await ready;
  return net.last();
}

/** Drops the socket, lets the wait pass and greets again. */
function reconnect(hello) {
  net.last().drop(1006);
  clock.advance(tower.status.retryAt - clock.now());
  net.last().greet(hello);
  return net.last();
}

const attached = (topics, offset, more = {}) => ({ topics, epoch: "e1", offset, recovered: true, snapshot: { missions: [] }, ...more });

/** A signal that knows how many listen to it. */
class CountingSignal extends EventTarget {
  aborted = false;
  listeners = 0;

  addEventListener(...rest) {
    this.listeners += 1;
    super.addEventListener(...rest);
  }

  removeEventListener(...rest) {
    this.listeners -= 1;
    super.removeEventListener(...rest);
  }

  abort() {
    this.aborted = true;
    this.dispatchEvent(new Event("abort"));
  }
}

beforeEach(() => make());

describe("connecting", () => {
  it("says hello first, with the token, and is live after the answer", async () => {
    make({ token: () => "secret", client: "test" });
    const ready = tower.connect();
    assert.equal(tower.status.state, "connecting");
    net.last().open();
    assert.deepEqual(net.last().sent[0].params, { token: "secret", client: "test" });
    net.last().reply("hello", { epoch: "e1", heartbeat_s: 25, user_id: "ada" });
    assert.equal((await ready).user_id, "ada");
    assert.equal(tower.status.state, "live");
  });

  it("gives up on a refused token and can be started again", async () => {
    const ready = tower.connect();
    net.last().open();
    net.last().refuse("hello", "unauthenticated");
    await assert.rejects(ready, { code: "unauthenticated" });
    assert.equal(tower.status.state, "closed");
    assert.equal(tower.status.code, 4401);
    const again = tower.connect();
    net.last().greet();
    await again;
    assert.equal(net.sockets.length, 2);
  });

  it("drops a socket that does not open in time and tries again", () => {
    tower.connect();
    clock.advance(10_000);
    assert.equal(tower.status.state, "reconnecting");
    clock.advance(500);
    assert.equal(net.sockets.length, 2);
  });

  it("says when the next try is, and stays away after 4400", async () => {
    const socket = await live();
    socket.drop(1012, '{"retry_after_ms": 2000}');
    assert.equal(tower.status.retryAt - clock.now(), 2250);
    clock.advance(2250);
    net.last().greet();
    net.last().drop(4400);
    assert.equal(tower.status.state, "closed");
    clock.advance(100_000);
    assert.equal(net.sockets.length, 2);
  });

  it("doubles the ceiling at each failure and starts anew after a settled connection", async () => {
    await live();
    const waits = [];
    clock.advance(6_000);
    net.last().drop(1006);
    for (let i = 0; i < 8; i += 1) {
      waits.push(tower.status.retryAt - clock.now());
      clock.advance(waits.at(-1));
      net.last().drop(1006);
    }
    assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
    clock.advance(15_000);
    net.last().greet();
    clock.advance(6_000);
    net.last().drop(1006);
    assert.equal(tower.status.retryAt - clock.now(), 250);
  });

  it("uses the hint of a draining server when the close itself has none", async () => {
    const socket = await live();
    socket.event({ type: "tower.draining", data: { node: "n", retry_after_ms: 3000 } });
    socket.drop(1001);
    assert.equal(tower.status.retryAt - clock.now(), 3250);
  });

  it("is offline without a network, tries slowly, and at once when told", async () => {
    make({ online: () => false });
    await live();
    net.last().drop(1006);
    assert.equal(tower.status.state, "offline");
    assert.equal(tower.status.retryAt - clock.now(), 30_000);
    tower.retryNow();
    assert.equal(net.sockets.length, 2);
  });
});

describe("silence", () => {
  it("pings after the heartbeat plus slack, and drops when nothing answers", async () => {
    const socket = await live({ heartbeat_s: 25 });
    clock.advance(34_999);
    assert.equal(socket.request("ping"), undefined);
    clock.advance(1);
    assert.ok(socket.request("ping"));
    clock.advance(10_000);
    assert.equal(tower.status.state, "reconnecting");
    assert.equal(socket.closed, 1000);
  });

  it("takes any message for life", async () => {
    const socket = await live({ heartbeat_s: 25 });
    clock.advance(20_000);
    socket.event({ type: "llm.delta" });
    clock.advance(20_000);
    assert.equal(socket.request("ping"), undefined);
    clock.advance(15_000);
    socket.reply("ping", { offset: 77 });
    assert.equal(tower.position.offset, 77);
    clock.advance(20_000);
    assert.equal(tower.status.state, "live");
  });
});

describe("calls", () => {
  it("resolves with the result and rejects with a typed error", async () => {
    const socket = await live();
    const list = tower.call("mission.list");
    socket.reply("mission.list", { missions: [] });
    assert.deepEqual(await list, { missions: [] });
    const get = tower.call("mission.get", { mission_id: "m_x" });
    socket.say({ jsonrpc: "2.0", id: socket.request("mission.get").id, error: { code: -32004, message: "No such mission.", data: { code: "not_found", details: { a: 1 } } } });
    await assert.rejects(get, { name: "RpcError", code: "not_found", number: -32004, method: "mission.get", details: { a: 1 } });
  });

  it("sends a submit again with the same key after a drop, and a read too", async () => {
    const socket = await live();
    const submit = tower.call("mission.submit", { mission: "x", subscribe: false });
    const read = tower.call("mission.list");
    assert.equal(socket.request("mission.submit").params.idempotency_key, "key-1");
    const next = reconnect();
    assert.equal(next.request("mission.submit").params.idempotency_key, "key-1");
    next.reply("mission.submit", { mission_id: "m_1", duplicate: true });
    next.reply("mission.list", { missions: [1] });
    assert.equal((await submit).mission_id, "m_1");
    assert.deepEqual((await read).missions, [1]);
  });

  it("rejects what cannot be repeated, and says that the outcome is not known", async () => {
    await live();
    const pause = tower.call("mission.pause", { mission_id: "m_1" });
    net.last().drop(1006);
    await assert.rejects(pause, (error) => error.code === "disconnected" && error.outcomeUnknown);
  });

  it("repeats answers, because the same answer twice gets the same reply", async () => {
    await live();
    tower.call("confirm", { confirmation_id: "i_1", approved: true });
    assert.ok(reconnect().request("confirm"));
  });

  it("gives everything up after a close that our own frame caused", async () => {
    await live();
    const submit = tower.call("mission.submit", { mission: "x" });
    net.last().drop(1009);
    await assert.rejects(submit, { code: "closed" });
    assert.equal(tower.status.state, "closed");
  });

  it("keeps calls made while disconnected, of any kind, until it is live", async () => {
    await live();
    net.last().drop(1006);
    tower.call("mission.pause", { mission_id: "m_1" });
    clock.advance(1000);
    net.last().greet();
    assert.ok(net.last().request("mission.pause"));
  });

  it("times out, and refuses a frame over the server's limit without sending it", async () => {
    const socket = await live({ limits: { max_frame_bytes: 200 } });
    const slow = tower.call("mission.list", {}, { timeoutMs: 1000 });
    clock.advance(1000);
    await assert.rejects(slow, { code: "timeout" });
    await assert.rejects(tower.call("message.send", { message: "é".repeat(150) }), { code: "too_large" });
    assert.equal(socket.request("message.send"), undefined);
  });

  it("rejects everything with `closed` when closed", async () => {
    await live();
    const call = tower.call("mission.list");
    const subscribed = tower.subscribe(["system"]);
    tower.close();
    await assert.rejects(call, { code: "closed" });
    await assert.rejects(subscribed, { code: "closed" });
  });

  it("gives up a call whose signal says so, and leaves nothing on a signal that lives on", async () => {
    const socket = await live();
    const signal = new CountingSignal();
    const answered = tower.call("mission.list", {}, { signal });
    socket.reply("mission.list", { missions: [] });
    await answered;
    assert.equal(signal.listeners, 0);
    const given = tower.call("mission.list", {}, { signal });
    signal.abort();
    await assert.rejects(given, { code: "aborted" });
    assert.equal(signal.listeners, 0);
    await assert.rejects(tower.call("mission.get", {}, { signal }), { code: "aborted" });
    assert.equal(socket.sent.some(({ method }) => method === "mission.get"), false);
  });
});

describe("resume", () => {
  it("asks for all topics from the one offset after a drop, and drops what comes twice", async () => {
    const socket = await live();
    tower.subscribe(["session:a"], { since: "start" });
    assert.deepEqual(socket.request("subscribe").params, { topics: ["session:a"], since: "start" });
    socket.reply("subscribe", attached(["session:a"], 3));
    for (const offset of [1, 2, 3]) socket.event({ offset, type: "step.completed" });
    socket.event({ type: "replay.done", data: { topics: ["session:a"], offset: 3 } });
    socket.event({ offset: 7, type: "step.completed" });
    const next = reconnect();
    assert.deepEqual(next.request("subscribe").params, { topics: ["session:a"], since: 7, epoch: "e1" });
    assert.equal(tower.status.state, "reconnecting");
    next.reply("subscribe", attached(["session:a"], 9));
    assert.equal(tower.status.state, "live");
    next.event({ offset: 7, type: "step.completed" });
    next.event({ offset: 9, type: "step.completed" });
    assert.deepEqual(seen, [1, 2, 3, 7, 9]);
  });

  it("resumes a topic that is still replayed from its own since, the others from the number", async () => {
    const socket = await live();
    tower.subscribe(["session:a"]);
    socket.reply("subscribe", attached(["session:a"], 100));
    socket.event({ offset: 120, type: "x" });
    tower.subscribe(["session:b"], { since: "start", deltas: false });
    socket.reply("subscribe", attached(["session:b"], 120));
    socket.event({ offset: 5, type: "x" });
    const next = reconnect();
    const asked = next.sent.filter((message) => message.method === "subscribe").map((message) => message.params);
    assert.deepEqual(asked, [
      { topics: ["session:a"], since: 120, epoch: "e1" },
      { topics: ["session:b"], since: 0, epoch: "e1", deltas: false },
    ]);
    next.event({ offset: 5, type: "x" });
    next.event({ offset: 6, type: "x" });
    assert.deepEqual(seen, [120, 5, 6]);
  });

  it("does not let a ping during a replay move the others' number", async () => {
    const socket = await live();
    tower.subscribe(["session:b"], { since: "start" });
    socket.reply("subscribe", attached(["session:b"], 120));
    tower.retryNow();
    socket.reply("ping", { offset: 60 });
    assert.equal(tower.position.offset, 0);
    socket.event({ type: "replay.done", data: { topics: ["session:b"], offset: 120 } });
    tower.retryNow();
    socket.reply("ping", { offset: 130 });
    assert.equal(reconnect().request("subscribe").params.since, 130);
  });

  it("asks how far a long replay is, so that a drop does not begin it again", async () => {
    const socket = await live();
    tower.subscribe(["session:b"], { since: "start" });
    tower.retryNow();
    socket.reply("ping", { offset: 5000 });
    assert.equal(reconnect().request("subscribe").params.since, 0, "answered before the topic was attached");
    net.last().reply("subscribe", attached(["session:b"], 5000));
    for (let offset = 1; offset <= 1000; offset += 1) net.last().event({ offset, type: "x" });
    net.last().reply("ping", { offset: 1002 });
    assert.equal(reconnect().request("subscribe").params.since, 1002);
  });

  it("asks again for `now` when the answer never came", async () => {
    await live();
    tower.subscribe(["system"], { where: { agent: "demo" } });
    assert.deepEqual(reconnect().request("subscribe").params, { topics: ["system"], since: "now", where: { agent: "demo" } });
  });

  it("resolves a subscribe whose answer came only after a reconnect", async () => {
    await live();
    const subscribed = tower.subscribe(["session:a"], { since: 4 });
    const next = reconnect();
    next.reply("subscribe", attached(["session:a"], 9));
    assert.equal((await subscribed).offset, 9);
  });

  it("does not skip an outage in which a topic was subscribed again", async () => {
    const socket = await live();
    const gaps = [];
    tower.on("gap", (gap) => gaps.push(gap.floor));
    tower.subscribe(["session:a"], { since: "start" });
    socket.reply("subscribe", attached(["session:a"], 3));
    socket.event({ offset: 3, type: "x" });
    socket.event({ type: "replay.done", data: { topics: ["session:a"], offset: 3 } });
    socket.drop();
    tower.subscribe(["session:a"], { deltas: false });
    clock.advance(1000);
    net.last().greet();
    assert.deepEqual(net.last().request("subscribe").params, { topics: ["session:a"], since: 3, epoch: "e1", deltas: false });
    net.last().reply("subscribe", attached(["session:a"], 50, { recovered: false, reason: "history_gap", floor: 20 }));
    assert.deepEqual(gaps, [20]);
  });

  it("goes on with a replay when its topic is subscribed again in the middle of it", async () => {
    const socket = await live();
    tower.subscribe(["session:a"], { since: "start" });
    socket.reply("subscribe", attached(["session:a"], 90));
    socket.event({ offset: 5, type: "x" });
    tower.subscribe(["session:a"], { deltas: false });
    socket.reply("subscribe", attached(["session:a"], 90));
    assert.deepEqual(reconnect().request("subscribe").params, { topics: ["session:a"], since: 0, epoch: "e1", deltas: false });
  });

  it("tells of a gap, and goes on from the head", async () => {
    const socket = await live();
    const gaps = [];
    tower.on("gap", (gap) => gaps.push(gap));
    tower.subscribe(["session:a"], { since: 4 });
    socket.reply("subscribe", attached(["session:a"], 50, { recovered: false, reason: "history_gap", floor: 20 }));
    assert.equal(gaps[0].floor, 20);
    assert.equal(reconnect().request("subscribe").params.since, 50);
  });

  it("forgets everything when the epoch changed, and asks again from where it first asked", async () => {
    const socket = await live();
    const resets = [];
    tower.on("reset", (reset) => resets.push(reset.epoch));
    tower.subscribe(["session:a"], { since: "start" });
    socket.reply("subscribe", attached(["session:a"], 3));
    socket.event({ offset: 3, type: "x" });
    socket.event({ type: "replay.done", data: { topics: ["session:a"], offset: 3 } });
    const next = reconnect({ epoch: "e2" });
    assert.deepEqual(resets, ["e2"]);
    assert.deepEqual(next.request("subscribe").params, { topics: ["session:a"], since: 0, epoch: "e2" });
    next.reply("subscribe", attached(["session:a"], 3, { epoch: "e2" }));
    next.event({ offset: 3, type: "x" });
    assert.deepEqual(seen, [3, 3]);
  });

  it("asks topics one by one when one of them is refused, and tells which is lost", async () => {
    const socket = await live();
    tower.subscribe(["session:a"]);
    socket.reply("subscribe", attached(["session:a"], 1));
    tower.subscribe(["session:b"]);
    socket.reply("subscribe", attached(["session:b"], 1));
    const lost = [];
    tower.on("lost", (loss) => lost.push(loss.topics[0]));
    const next = reconnect();
    next.refuse("subscribe", "not_found");
    const alone = next.sent.filter((message) => message.method === "subscribe").slice(1);
    assert.deepEqual(alone.map((message) => message.params.topics), [["session:a"], ["session:b"]]);
    next.say({ jsonrpc: "2.0", id: alone[0].id, error: { code: -32004, message: "gone", data: { code: "not_found" } } });
    next.say({ jsonrpc: "2.0", id: alone[1].id, result: attached(["session:b"], 1) });
    assert.deepEqual(lost, ["session:a"]);
    assert.equal(tower.status.state, "live");
  });

  it("rejects a subscribe of a topic that does not exist", async () => {
    const socket = await live();
    const subscribed = tower.subscribe(["session:x"]);
    socket.refuse("subscribe", "not_found");
    await assert.rejects(subscribed, { code: "not_found" });
    assert.equal(reconnect().request("subscribe"), undefined);
  });

  it("no longer asks for what was unsubscribed", async () => {
    const socket = await live();
    tower.subscribe(["session:a"]);
    socket.reply("subscribe", attached(["session:a"], 1));
    tower.unsubscribe(["session:a"]);
    assert.deepEqual(socket.request("unsubscribe").params, { topics: ["session:a"] });
    assert.equal(reconnect().request("subscribe"), undefined);
  });
});

describe("a submitted mission", () => {
  it("is followed over a drop from before its first event, until its end", async () => {
    const socket = await live();
    tower.call("mission.submit", { mission: "x" });
    socket.reply("mission.submit", { mission_id: "m_1", offset: 11 });
    socket.event({ offset: 11, type: "mission.submitted", mission_id: "m_1" });
    const next = reconnect();
    assert.deepEqual(next.request("subscribe").params, { topics: ["mission:m_1"], since: 11, epoch: "e1" });
    next.reply("subscribe", attached(["mission:m_1"], 11));
    next.event({ offset: 12, type: "mission.completed", mission_id: "m_1" });
    assert.deepEqual(next.request("unsubscribe").params, { topics: ["mission:m_1"] });
    assert.equal(reconnect().request("subscribe"), undefined);
  });

  it("is followed when a message made it, and not when nobody wants its events", async () => {
    const socket = await live();
    tower.call("message.send", { message: "x" });
    socket.reply("message.send", { message_id: "g_1", session_id: "s_1", mission_id: "m_1" });
    tower.call("mission.submit", { mission: "y", subscribe: false });
    socket.reply("mission.submit", { mission_id: "m_2", offset: 4 });
    assert.deepEqual(reconnect().request("subscribe").params.topics, ["mission:m_1"]);
  });

  it("is subscribed at once when its submit had to be sent twice", async () => {
    await live();
    tower.call("mission.submit", { mission: "x" });
    const next = reconnect();
    next.reply("mission.submit", { mission_id: "m_1", offset: 11, duplicate: true });
    assert.deepEqual(next.request("subscribe").params, { topics: ["mission:m_1"], since: 0, epoch: "e1" });
  });

  it("is resumed from before its first event when its reply came behind that, until the replay is done", async () => {
    const socket = await live();
    tower.subscribe(["session:a"]);
    socket.reply("subscribe", attached(["session:a"], 100));
    tower.call("mission.submit", { mission: "x" });
    socket.event({ offset: 120, type: "x" });
    socket.reply("mission.submit", { mission_id: "m_1", offset: 111 });
    assert.equal(socket.request("subscribe").params.topics[0], "session:a", "the server replays by itself");
    socket.event({ offset: 111, type: "mission.submitted", mission_id: "m_1" });
    const next = reconnect();
    const asked = next.sent.filter(({ method }) => method === "subscribe").map(({ params }) => [params.topics[0], params.since]);
    assert.deepEqual(asked, [["session:a", 120], ["mission:m_1", 0]]);
    next.event({ type: "replay.done", data: { topics: ["mission:m_1"], offset: 120 } });
    assert.deepEqual(reconnect().request("subscribe").params, { topics: ["session:a", "mission:m_1"], since: 120, epoch: "e1" });
  });

  it("is let go at its end, also when a session brought that before the reply", async () => {
    const socket = await live();
    tower.subscribe(["session:a"]);
    socket.reply("subscribe", attached(["session:a"], 100));
    tower.call("mission.submit", { mission: "x" });
    socket.event({ offset: 112, type: "mission.completed", mission_id: "m_1" });
    socket.reply("mission.submit", { mission_id: "m_1", offset: 111 });
    socket.event({ offset: 112, type: "mission.completed", mission_id: "m_1" });
    assert.deepEqual(seen, [112]);
    assert.deepEqual(reconnect().request("subscribe").params.topics, ["session:a"]);
  });

  it("is awaited by run(), even when its end came in the same turn as the reply", async () => {
    const socket = await live();
    const run = tower.run("calculate 6*7");
    socket.reply("mission.submit", { mission_id: "m_1", offset: 1 });
    socket.event({ offset: 2, type: "mission.completed", mission_id: "m_1", data: { result: "42" } });
    await settle();
    socket.reply("mission.get", { mission_id: "m_1", state: "terminated", outcome: "completed", result: "42" });
    assert.equal((await run).result, "42");
  });

  it("is awaited by run() over a restart of the server", async () => {
    await live();
    const run = tower.run("calculate 6*7");
    net.last().reply("mission.submit", { mission_id: "m_1", offset: 1 });
    await settle();
    const next = reconnect();
    next.reply("subscribe", attached(["mission:m_1"], 1));
    next.event({ offset: 2, type: "mission.failed", mission_id: "m_1" });
    await settle();
    next.reply("mission.get", { mission_id: "m_1", state: "terminated", outcome: "failed" });
    assert.equal((await run).outcome, "failed");
  });
});

describe("listeners", () => {
  it("are told by kind, stop when asked, and do not stop each other", async () => {
    const socket = await live();
    const reported = [];
    globalThis.reportError = (error) => reported.push(error.message);
    const stop = tower.on("event", () => assert.fail("stopped"));
    tower.on("event", () => {
      throw new Error("a listener's fault");
    });
    stop();
    socket.event({ offset: 1, type: "unknown.type" });
    assert.deepEqual(seen, [1]);
    assert.deepEqual(reported, ["a listener's fault"]);
    delete globalThis.reportError;
  });
});
