import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { arrange } from "../../static/js/console/arrange.js";
import { eventLine } from "../../static/js/console/event_line.js";
import { Feed, NO_FILTER, SHOWN } from "../../static/js/console/feed.js";
import { forEach } from "../../static/js/console/pace.js";
import { Processes } from "../../static/js/console/processes.js";
import { nearest, rowOf, shares } from "../../static/js/console/row.js";
import { clientsOf, cut, missing, sampled, SAMPLES } from "../../static/js/console/samples.js";
import { end, holders, why } from "../../static/js/console/why.js";
import { inSight, revealing } from "../../static/js/ui/window.js";

const AT = "2026-11-21T20:12:03.123Z";
let offset = 0;
const ev = (type, data = {}, more = {}) => ({ offset: (offset += 1), type, at: AT, session_id: "s_1", mission_id: "m_1", user_id: "ana", data, ...more });
const submitted = (mission_id, mission, more = {}) =>
  ev("mission.submitted", { mission, agent: "demo", priority: "normal", quota: { max_tool_calls: 4, max_llm_calls: 50 }, parent_id: null, ...more }, { mission_id });

const BLOCK = {
  ...{ mission_id: "m_1", session_id: "s_1", user_id: "ana", agent: "demo", mission: "count", state: "running", outcome: null, state_reason: null },
  ...{ priority: "high", quota: { max_tool_calls: 4 }, usage: { tool_calls: 1 }, current_step: "2", parent_pid: null, created_at: AT, completed_at: null },
};

const table = (...events) => {
  const processes = new Processes();
  processes.apply(events);
  return processes;
};
const only = (processes) => [...processes.rows.values()][0];

describe("the process table", () => {
  it("follows a mission from its submit to its end", () => {
    const processes = table(submitted("m_1", "count"));
    assert.equal(only(processes).state, "ready");
    processes.apply([ev("mission.started", { attempt: 1, node: "n" }), ev("step.started", { step: "1", kind: "tool", name: "calculator", input: {}, attempt: 1 })]);
    assert.deepEqual([only(processes).state, only(processes).step, only(processes).call], ["running", "1", "calculator"]);
    processes.apply([ev("mission.waiting", { cause: "confirmation" })]);
    assert.deepEqual([only(processes).state, only(processes).cause], ["waiting", "confirmation"]);
    processes.apply([ev("mission.completed", { result: "3", usage: { tool_calls: 7 }, duration_ms: 4 })]);
    assert.deepEqual([only(processes).state, only(processes).outcome, only(processes).usage.tool_calls], ["terminated", "completed", 7]);
  });

  it("says of events that change nothing that they change nothing", () => {
    const processes = table(submitted("m_1", "count"));
    const before = only(processes);
    assert.equal(processes.apply([ev("message.created", { message: {} }), ev("mission.levitated")]), false);
    assert.equal(processes.apply([ev("mission.started", {}, { mission_id: "m_unknown" })]), false);
    assert.equal(only(processes), before);
  });

  it("puts what waits for a slot into the queue, and what waits for its session apart", () => {
    const queued = (cause) => only(table(submitted("m_1", "count"), ev("mission.queued", { position: 1, cause }))).state;
    assert.deepEqual([queued("no_slot"), queued("user_limit"), queued("session_busy")], ["ready", "ready", "blocked"]);
  });

  it("does not bring back what ended while a list of before was on its way", () => {
    const processes = new Processes();
    processes.load([BLOCK]);
    processes.apply([ev("mission.completed", { result: "3", usage: {}, duration_ms: 4 })]);
    processes.load([BLOCK]);
    assert.deepEqual(processes.counts(), { terminated: 1 });
  });

  it("counts calls and tokens as they are made, and a retried call once", () => {
    const processes = new Processes();
    processes.load([BLOCK]);
    const step = (attempt) => ev("step.started", { step: "2", kind: "tool", name: "x", input: {}, attempt });
    processes.apply([step(1), step(2), ev("step.completed", { step: "3", kind: "llm", name: "m", output: "", usage: { input_tokens: 5, output_tokens: 2 }, duration_ms: 1 })]);
    assert.deepEqual(only(processes).usage, { tool_calls: 2, input_tokens: 5, output_tokens: 2, cost_usd: 0 });
    assert.equal(nearest(only(processes)).share, 0.5);
  });

  it("shows the limits that there are, the extended ones too", () => {
    const processes = new Processes();
    processes.load([BLOCK]);
    processes.apply([ev("quota.extended", { resource: "tool_calls", used: 1, limit: 10 }), ev("mission.updated", { priority: "low", by: "ops" })]);
    assert.deepEqual(shares(only(processes)), [{ resource: "tool_calls", used: 1, limit: 10, share: 0.1 }]);
    assert.equal(only(processes).priority, "low");
    assert.equal(nearest({ quota: {}, usage: {} }), undefined);
  });

  it("forgets the oldest of those that ended, never one that runs", () => {
    const processes = new Processes();
    processes.load([BLOCK]);
    const ended = (n) => [submitted(`m_e${n}`, "x"), ev("mission.failed", { error: { message: "no" }, usage: {}, duration_ms: 1 }, { mission_id: `m_e${n}` })];
    processes.apply(Array.from({ length: 1_200 }, (_, n) => ended(n)).flat());
    assert.equal(processes.rows.size, 1_001);
    assert.equal(processes.counts().running, 1);
    assert.ok(!processes.rows.has("m_e0") && processes.rows.has("m_e1199"));
  });
});

describe("the arrangement", () => {
  const rows = [
    { ...rowOf(BLOCK), mission_id: "m_a", mission: "alpha", since: 1, state: "running" },
    { ...rowOf(BLOCK), mission_id: "m_b", mission: "beta", since: 2, state: "waiting", priority: "idle", parent_id: "m_a" },
    { ...rowOf(BLOCK), mission_id: "m_c", mission: "gamma beta", since: 3, state: "terminated", priority: "realtime" },
    { ...rowOf(BLOCK), mission_id: "m_d", mission: "delta", since: 4, state: "running", parent_id: "m_gone" },
  ];
  const all = new Set(["running", "waiting", "terminated"]);
  const how = { states: all, text: "", column: "age", falling: false, tree: false };
  const ids = (change) => arrange(rows, { ...how, ...change }).map(({ row, depth }) => `${"-".repeat(depth)}${row.mission_id}`);

  it("sorts by any column, both ways", () => {
    assert.deepEqual(ids({}), ["m_d", "m_c", "m_b", "m_a"]);
    assert.deepEqual(ids({ falling: true }), ["m_a", "m_b", "m_c", "m_d"]);
    assert.deepEqual(ids({ column: "priority" }), ["m_c", "m_d", "m_a", "m_b"]);
    assert.deepEqual(ids({ column: "mission" }), ["m_a", "m_b", "m_d", "m_c"]);
  });

  it("keeps the states that are wanted, and rows that have every word", () => {
    assert.deepEqual(ids({ states: new Set(["waiting"]) }), ["m_b"]);
    assert.deepEqual(ids({ text: "BETA" }), ["m_c", "m_b"]);
    assert.deepEqual(ids({ text: "beta realtime" }), ["m_c"]);
    assert.deepEqual(ids({ text: "nothing" }), []);
  });

  it("puts children under their parents, and those whose parent is not shown by themselves", () => {
    assert.deepEqual(ids({ tree: true }), ["m_d", "m_c", "m_a", "-m_b"]);
    assert.deepEqual(ids({ tree: true, text: "beta" }), ["m_c", "m_b"]);
  });
});

describe("the feed", () => {
  const many = (count, type = "step.started") => Array.from({ length: count }, () => ev(type, { step: "1", kind: "tool", name: "x" }));

  it("keeps the newest, and no more than can be scrolled through", () => {
    const feed = new Feed();
    feed.push(many(SHOWN + 50));
    feed.push(many(3));
    assert.equal(feed.lines.length, SHOWN);
    assert.equal(feed.lines.at(-1).offset, offset);
    assert.equal(feed.total, SHOWN + 53);
  });

  it("stands still while it is held, and counts what came", () => {
    const feed = new Feed();
    feed.push(many(10));
    feed.hold(true);
    const held = feed.lines;
    feed.push(many(4));
    assert.equal(feed.lines, held);
    assert.equal(feed.fresh, 4);
    feed.hold(false);
    assert.deepEqual([feed.lines.length, feed.fresh], [14, 0]);
  });

  it("does not let a flood of one kind wash away another", () => {
    const feed = new Feed();
    feed.show({ kinds: new Set(["quota"]), text: "" });
    feed.push(many(2, "quota.warned"));
    feed.push(many(20_000));
    assert.equal(feed.lines.length, 2);
    feed.show(NO_FILTER);
    assert.equal(feed.lines.length, SHOWN);
  });

  it("finds words in what an event is about", () => {
    const feed = new Feed();
    feed.push([ev("mission.submitted", { mission: "Bake bread", agent: "demo" }), ...many(3)]);
    feed.show({ kinds: new Set(), text: "bread" });
    assert.equal(feed.lines.length, 1);
    feed.hold(true);
    feed.show({ kinds: new Set(), text: "ana" });
    assert.equal(feed.lines.length, 4);
  });
});

describe("words of the console", () => {
  it("says what an event says on one line, also one it does not know", () => {
    assert.equal(eventLine(ev("step.completed", { step: "2", kind: "tool", name: "calculator", output: 42, duration_ms: 1.2 })), "2 calculator 1 ms → 42");
    assert.equal(eventLine(ev("interrupt.resolved", { kind: "confirmation", approved: false, by: "ana" })), "confirmation: refused by ana");
    assert.equal(eventLine(ev("mission.failed", { error: { message: "No." }, usage: {}, duration_ms: 2_000 })), "2.0 s · No.");
    assert.equal(eventLine(ev("comet.seen", { tail: "long" })), "long");
    assert.equal(eventLine(ev("event.erased", null)), "");
  });

  it("says why a mission waits, in a sentence for each state and an unknown one", () => {
    const said = (state, cause = null) => why({ state, cause, position: null, waiting_for: null });
    assert.match(said("ready", "no_slot"), /slot/);
    assert.match(said("ready", "user_limit"), /user/);
    assert.match(said("waiting", "confirmation"), /approve/);
    assert.match(said("blocked", "session_busy"), /session/);
    assert.equal(said("blocked", "solar_flare"), "It waits: solar flare.");
    assert.match(said("paused", "nondeterminism"), /journal/);
    assert.equal(said("dreaming"), "dreaming");
  });

  it("says what became of a mission, with the reason of whoever cancelled it", () => {
    assert.equal(end({ outcome: "failed", error: { message: "No money." }, state_reason: null }), "No money.");
    assert.equal(end({ outcome: "cancelled", error: null, state_reason: "not needed" }), "It was cancelled: not needed");
    assert.equal(end({ outcome: "cancelled", error: null, state_reason: null }), "It was cancelled.");
    assert.equal(end({ outcome: "completed", error: null, state_reason: null }), "It has ended.");
  });

  it("names the missions that a mission waits for", () => {
    assert.deepEqual(holders({ waiting_for: { missions: ["m_1"] } }), ["m_1"]);
    assert.deepEqual(holders({ waiting_for: { children: ["m_2"] } }), ["m_2"]);
    assert.deepEqual(holders({ waiting_for: "a free slot" }), []);
    assert.deepEqual(holders({ waiting_for: null }), []);
  });
});

describe("samples", () => {
  it("count events a second between two answers, and keep five minutes", () => {
    const status = { slots: { running: 2 }, queues: { high: 1, normal: 3 } };
    let samples = sampled([], status, { at: 1_000, total: 10, before: null });
    assert.deepEqual(samples, [{ at: 1_000, running: 2, queued: 4, events: 0 }]);
    samples = sampled(samples, status, { at: 3_000, total: 110, before: { at: 1_000, total: 10 } });
    assert.equal(samples[1].events, 50);
    for (let n = 0; n < 200; n += 1) samples = sampled(samples, {}, { at: n, total: 0, before: null });
    assert.equal(samples.length, SAMPLES);
  });

  it("say what the table lacks only when it lacked it before", () => {
    const status = { processes: { ready: 2, running: 1, waiting: 4 } };
    const counts = { ready: 1, running: 2, waiting: 3 };
    assert.deepEqual(missing(status, counts, []), { missed: ["ready", "waiting"], again: [] });
    assert.deepEqual(missing(status, counts, ["ready"]).again, ["ready"]);
    assert.deepEqual(missing({}, counts, ["ready"]), { missed: [], again: [] });
  });

  it("say of which states only the newest are listed", () => {
    const processes = { ready: 12_340, running: 256, waiting: 5_001 };
    const listed = { ready: 5_000, running: 200, waiting: 5_001 };
    assert.deepEqual(cut({ processes }, listed, 5_000), [{ state: "ready", listed: 5_000, all: 12_340 }]);
    assert.deepEqual(cut({ processes }, { ready: 4_000 }, 5_000).map(({ state, listed }) => [state, listed]), [["ready", 4_000], ["waiting", 0]]);
    assert.deepEqual(cut({}, listed, 5_000), []);
  });

  it("put the client that is farthest behind first; one without topics is not behind", () => {
    const client = (connection_id, at, topics = ["system"]) => ({ connection_id, user_id: "u", topics, offset: at, buffered_bytes: 0 });
    const listed = clientsOf({ offset: 100, clients: [client("a", 100), client("b", 40), client("c", 3, [])] });
    assert.deepEqual(listed.map(({ connection_id, behind }) => [connection_id, behind]), [["b", 60], ["a", 0], ["c", 0]]);
  });
});

describe("a long list", () => {
  it("draws what is in sight and a little more, whatever the place", () => {
    assert.deepEqual(inSight({ scrollTop: 0, height: 280 }, 28, 5), { from: 0, to: 5 });
    assert.deepEqual(inSight({ scrollTop: 2_800, height: 280 }, 28, 1_000), { from: 92, to: 118 });
    assert.deepEqual(inSight({ scrollTop: 9_999, height: 280 }, 28, 0), { from: 0, to: 0 });
  });

  it("scrolls no farther than it takes to bring a row into sight", () => {
    const port = { scrollTop: 100, height: 280 };
    assert.equal(revealing(port, 28, 0), 0);
    assert.equal(revealing(port, 28, 5), 100);
    assert.equal(revealing(port, 28, 20), 308);
  });
});

describe("commands for many", () => {
  const late = (retryAfterS) => Object.assign(new Error("Too fast."), { code: "rate_limited", retryAfterS });

  it("go out eight at a time, and no faster than the server takes", async () => {
    let now = 0;
    let most = 0;
    let open = 0;
    const slept = [];
    const sleep = async (ms) => void slept.push(ms);
    const call = async () => {
      most = Math.max(most, (open += 1));
      await null;
      open -= 1;
      now += 1;
    };
    const told = [];
    const outcome = await forEach(Array.from({ length: 40 }, (_, n) => `m_${n}`), call, (done) => told.push(done), sleep);
    assert.deepEqual(outcome, { done: 40, failures: [] });
    assert.equal(most, 8);
    assert.equal(now, 40);
    assert.equal(told.at(-1), 40);
    assert.ok(slept.length >= 31 && slept.every((ms) => ms === 160));
  });

  it("wait as long as they are told to, and try again", async () => {
    const refusals = [late(2), late(null)];
    const slept = [];
    const call = async () => {
      const refusal = refusals.shift();
      if (refusal) throw refusal;
    };
    const outcome = await forEach(["m_1"], call, () => {}, async (ms) => void slept.push(ms));
    assert.deepEqual([outcome.done, slept], [1, [2_000, 1_000]]);
  });

  it("go on after one that could not be done, and keep why", async () => {
    const call = async (id) => {
      if (id === "m_2") throw Object.assign(new Error("No such mission."), { code: "not_found" });
    };
    const outcome = await forEach(["m_1", "m_2", "m_3"], call, () => {}, async () => {});
    assert.deepEqual([outcome.done, outcome.failures.map(({ message }) => message)], [2, ["No such mission."]]);
  });
});
