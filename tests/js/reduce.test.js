import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { choicesOf, nextAgent } from "../../static/js/chat/agent_choice.js";
import { liveText } from "../../static/js/chat/mission.js";
import { EMPTY_MODEL } from "../../static/js/chat/model.js";
import { holdOpenChats, mergeMessages, mergeSessions, reduce, reduceAll, setChatState } from "../../static/js/chat/reduce.js";
import { childrenOf, keyOf, openInterrupts, sessionsByDate, timeline } from "../../static/js/chat/timeline.js";

const S = "s_1";
const M = "m_1";
const AT = "2026-11-21T20:12:03.123Z";
const ev = (offset, type, data = {}, more = {}) => ({ offset, type, at: AT, session_id: S, mission_id: M, user_id: "local", data, ...more });
const delta = (text, at, more = {}) => ev(undefined, "llm.delta", { step: null, attempt: 1, at, text, ...more });
const done = (offset) => ({ type: "replay.done", at: AT, data: { topics: [`session:${S}`], offset } });

const SUBMITTED = { mission: "calculate 6*7", agent: "demo", priority: "normal", quota: {}, inputs: {}, parent_id: null };
const LOG = [
  ev(1, "session.created", { session: { session_id: S, title: "calculate 6*7", last_activity: AT } }),
  ev(2, "message.created", { message: { message_id: "g_1", session_id: S, role: "user", content: "calculate 6*7", mission_id: M, created_at: AT } }),
  ev(3, "mission.submitted", SUBMITTED),
  ev(4, "mission.started", { attempt: 1, node: "n" }),
  ev(5, "step.started", { step: "1", kind: "tool", name: "calculator", input: { expression: "6*7" }, attempt: 1 }),
  ev(6, "step.completed", { step: "1", kind: "tool", name: "calculator", output: "42", duration_ms: 1.2 }),
  ev(7, "message.created", { message: { message_id: "g_2", session_id: S, role: "assistant", content: "42", mission_id: M, created_at: AT } }),
  ev(8, "mission.completed", { result: "42", usage: { tool_calls: 1 }, duration_ms: 5 }),
];

const open = (events) => reduceAll(setChatState(EMPTY_MODEL, S, "open"), events);
const mission = (model) => model.chats[S].missions[0];

describe("the reducer", () => {
  it("turns a mission's events into messages, steps and a result", () => {
    const model = open(LOG);
    assert.equal(model.sessions[S].title, "calculate 6*7");
    const { state, outcome, result, steps } = mission(model);
    assert.deepEqual({ state, outcome, result }, { state: "ended", outcome: "completed", result: "42" });
    assert.equal(steps.length, 1);
    assert.equal(steps[0].state, "done");
    assert.equal(steps[0].output, "42");
    assert.deepEqual(steps[0].input, { expression: "6*7" });
  });

  it("never changes the model that it is given", () => {
    const freeze = (value) => (value && typeof value === "object" ? (Object.values(value).forEach(freeze), Object.freeze(value)) : value);
    let model = freeze(setChatState(EMPTY_MODEL, S, "open"));
    for (const event of [...LOG, delta("x", 0)]) model = freeze(reduce(model, freeze(structuredClone(event))));
    assert.equal(mission(model).result, "42");
  });

  it("ignores types it does not know, and offsets it has applied", () => {
    const model = open(LOG);
    assert.equal(reduce(model, LOG[4]), model);
    assert.equal(mission(reduce(model, ev(9, "mission.levitated", { by: "magic" }))), mission(model));
  });

  it("gives the same however the events are cut into frames", () => {
    const start = setChatState(EMPTY_MODEL, S, "loading");
    const whole = reduceAll(start, [...LOG, done(8)]);
    const single = [...LOG, done(8)].reduce(reduce, start);
    assert.deepEqual(single, whole);
  });

  it("keeps events that come before a chat is open and applies them in offset order", () => {
    let model = reduceAll(EMPTY_MODEL, [LOG[7]]);
    model = setChatState(model, S, "loading");
    model = reduceAll(model, LOG.slice(0, 4));
    assert.equal(model.chats[S].missions.length, 0);
    model = reduceAll(model, [...LOG.slice(4, 7), done(8)]);
    assert.equal(model.chats[S].state, "open");
    assert.deepEqual(mission(model), mission(open(LOG)));
  });

  it("loses nothing when one subscription's replay overtakes another's after a reconnect", () => {
    let model = holdOpenChats(open(LOG.slice(0, 4)));
    model = reduceAll(model, [LOG[6]]);
    assert.equal(timeline(model.chats[S]).length, 2, "what was shown stays");
    model = reduceAll(model, [LOG[4], LOG[5], LOG[7], done(8)]);
    assert.deepEqual(model.chats, open(LOG).chats);
  });

  it("streams text, repairs it from its start, and drops it for the result", () => {
    let model = open([...LOG.slice(0, 4), delta("Hel", 0), delta("lo", 3)]);
    assert.equal(liveText(mission(model)), "Hello");
    model = reduce(model, delta("Hello, world", 0));
    assert.equal(liveText(mission(model)), "Hello, world");
    model = reduce(model, ev(9, "mission.completed", { result: "Hello, world!", usage: {}, duration_ms: 1 }));
    assert.equal(liveText(mission(model)), "");
    assert.equal(reduce(model, delta("late", 0)), model);
  });

  it("shows a model turn's text until its step ends", () => {
    const turn = { step: "1", kind: "llm", name: "model", input: null, attempt: 1 };
    let model = open([...LOG.slice(0, 4), ev(5, "step.started", turn), delta("thinking", 0, { step: "1" })]);
    assert.equal(liveText(mission(model)), "thinking");
    model = reduce(model, ev(6, "step.completed", { step: "1", kind: "llm", name: "model", output: "thinking", duration_ms: 1 }));
    assert.equal(liveText(mission(model)), "");
  });

  it("keeps the text of a mission that failed in mid-stream and marks its open step", () => {
    const model = open([...LOG.slice(0, 5), delta("half", 0), ev(9, "mission.failed", { error: { code: "boom", message: "no" }, usage: {}, duration_ms: 1 })]);
    assert.equal(liveText(mission(model)), "half");
    assert.equal(mission(model).steps[0].state, "unfinished");
    assert.equal(mission(model).error.message, "no");
  });

  it("follows a question from raised to answered, edited arguments included", () => {
    const raised = { interrupt_id: "i_1", kind: "confirmation", message: "Delete a.txt?", step: "3", tool: "workspace.delete", arguments: { name: "a.txt" }, risk: "destructive", expires_at: AT };
    let model = open([...LOG.slice(0, 4), ev(5, "interrupt.raised", raised), ev(6, "mission.waiting", { cause: "confirmation", interrupt_id: "i_1" })]);
    assert.equal(openInterrupts(model.chats[S]).length, 1);
    assert.deepEqual(model.waiting, { i_1: S });
    assert.equal(mission(model).state, "waiting");
    model = reduce(model, ev(7, "interrupt.resolved", { interrupt_id: "i_1", kind: "confirmation", by: "ada", approved: true, arguments: { name: "b.txt" }, message: "that one" }));
    const [interrupt] = mission(model).interrupts;
    assert.equal(interrupt.message, "Delete a.txt?");
    assert.deepEqual([interrupt.status, interrupt.by, interrupt.edited, interrupt.note, interrupt.arguments.name], ["resolved", "ada", true, "that one", "b.txt"]);
    assert.deepEqual(model.waiting, {});
  });

  it("clears why a mission waited once it runs again", () => {
    let model = open([...LOG.slice(0, 3), ev(4, "mission.queued", { position: 2, cause: "session_busy" })]);
    assert.deepEqual([mission(model).state, mission(model).position], ["queued", 2]);
    model = reduce(model, ev(5, "mission.started", { attempt: 1, node: "n" }));
    assert.deepEqual([mission(model).state, mission(model).cause, mission(model).position], ["running", null, null]);
  });

  it("notes progress, quota warnings, recoveries and artifacts", () => {
    const model = open([
      ...LOG.slice(0, 4),
      ev(5, "mission.progress", { name: "halfway", percent: 50 }),
      ev(6, "quota.warned", { resource: "max_llm_calls", used: 40, limit: 50 }),
      ev(7, "mission.recovered", { attempt: 2, replayed_steps: 3 }),
      ev(8, "artifact.created", { name: "report.md", media_type: "text/markdown", size: 9, url: "/api/v1/missions/m_1/artifacts/report.md" }),
    ]);
    assert.deepEqual(mission(model).notes.map((note) => note.text), ["halfway · percent 50", "llm calls: 40 of 50 used", "Went on after a restart (attempt 2, 3 steps replayed)", "report.md"]);
    assert.equal(mission(model).attempt, 2);
  });

  it("marks what is deleted", () => {
    let model = open(LOG);
    model = reduce(model, ev(9, "message.deleted", { message: { message_id: "g_1" } }, { mission_id: undefined }));
    assert.equal(timeline(model.chats[S]).some((entry) => entry.message), false);
    model = reduce(model, ev(10, "session.deleted", { session: { session_id: S } }, { mission_id: undefined }));
    assert.equal(model.sessions[S].deleted_at, AT);
  });

  it("takes messages from a list where their events are gone, and no message twice", () => {
    const listed = ["g_0", "g_1"].map((id) => ({ message_id: id, session_id: S, role: "user", content: id, created_at: AT }));
    const model = mergeMessages(open(LOG), S, listed);
    assert.deepEqual(model.chats[S].messages.map((message) => message.message_id), ["g_0", "g_1", "g_2"]);
    assert.equal(model.chats[S].messages[1].content, "calculate 6*7");
  });

  it("takes 20 000 replayed events within seconds, even on a busy machine", () => {
    const events = [...LOG.slice(0, 4)];
    for (let i = 0; i < 10_000; i += 1) {
      events.push(ev(5 + 2 * i, "step.started", { step: String(i), kind: "step", name: "w", input: null, attempt: 1 }));
      events.push(ev(6 + 2 * i, "step.completed", { step: String(i), kind: "step", name: "w", output: i, duration_ms: 1 }));
    }
    const begun = performance.now();
    const model = reduceAll(setChatState(EMPTY_MODEL, S, "loading"), [...events, done(30_000)]);
    assert.equal(mission(model).steps.length, 10_000);
    assert.ok(performance.now() - begun < 8_000);
  });
});

describe("the timeline", () => {
  it("knows where a message stands, also one that is part of a mission", () => {
    const chat = open(LOG).chats[S];
    assert.equal(keyOf(chat, "g_1"), "g_1");
    assert.equal(keyOf(chat, "g_2"), M, "the answer is part of its mission");
    assert.equal(keyOf(chat, M), M);
    assert.equal(keyOf(chat, "g_9"), null);
  });

  it("puts a mission after the message that gave it, and its answer inside it", () => {
    const entries = timeline(open(LOG).chats[S]);
    assert.deepEqual(entries.map(({ key }) => key), ["g_1", M]);
  });

  it("shows an answer as a message when its mission is not known", () => {
    const model = mergeMessages(setChatState(EMPTY_MODEL, S, "open"), S, [{ message_id: "g_9", session_id: S, role: "assistant", content: "old", mission_id: "m_gone", created_at: AT }]);
    assert.deepEqual(timeline(model.chats[S]).map(({ key }) => key), ["g_9"]);
  });

  it("nests children and keeps them out of the top level", () => {
    const model = open([...LOG.slice(0, 4), ev(5, "mission.submitted", { ...SUBMITTED, parent_id: M }, { mission_id: "m_2" })]);
    assert.deepEqual(timeline(model.chats[S]).map(({ key }) => key), ["g_1", M]);
    assert.equal(childrenOf(model.chats[S], M)[0].mission_id, "m_2");
  });
});

describe("sessions by date", () => {
  it("groups by the day of the last activity, newest first, without empty groups", () => {
    const now = new Date(2026, 10, 21, 12).getTime();
    const at = (days, hour) => new Date(2026, 10, 21 - days, hour).toISOString();
    const list = [["a", 0, 9], ["b", 1, 9], ["c", 30, 9], ["d", 0, 3]].map(([id, ...when]) => ({ session_id: id, last_activity: at(...when) }));
    const model = mergeSessions(EMPTY_MODEL, list);
    const groups = sessionsByDate(Object.values(model.sessions), now, () => true);
    assert.deepEqual(groups.map(({ label, sessions }) => [label, sessions.map((s) => s.session_id)]), [["Today", ["a", "d"]], ["Yesterday", ["b"]], ["Older", ["c"]]]);
  });
});

describe("the agent of the next mission", () => {
  const demo = { name: "demo", description: "", default: true };
  const agents = [demo, { name: "shop", description: "", default: false }];

  it("is a choice only where an app brought one", () => {
    assert.deepEqual(choicesOf([demo]), []);
    assert.deepEqual(choicesOf(agents), agents);
    assert.equal(nextAgent([], null, "demo"), undefined);
  });

  it("is the picked one, else the last one that is still there, else the default", () => {
    assert.equal(nextAgent(agents, "shop", "demo"), "shop");
    assert.equal(nextAgent(agents, null, "shop"), "shop");
    assert.equal(nextAgent(agents, null, "gone"), "demo");
    assert.equal(nextAgent(agents, null, undefined), "demo");
  });
});
