import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { announcements, asks } from "../../static/js/chat/announce.js";
import { readDraft, readOutbox, writeDraft, writeOutbox } from "../../static/js/chat/drafts.js";
import { headline } from "../../static/js/chat/headline.js";
import { emptyMission } from "../../static/js/chat/model.js";
import { verdict } from "../../static/js/ui/verdict.js";
import { brief, bytes, countdown, counted, duration, pretty, usageWords } from "../../static/js/ui/format.js";
import { parts } from "../../static/js/ui/snippet.js";

describe("values", () => {
  it("says durations in the unit that fits", () => {
    const said = [0.4, 4, 999, 1_234, 9_940, 12_345, 185_000, 7_320_000].map(duration);
    assert.deepEqual(said, ["< 1 ms", "4 ms", "999 ms", "1.2 s", "9.9 s", "12 s", "3 min 5 s", "2 h 2 min"]);
  });

  it("counts down to zero and not beyond", () => {
    assert.deepEqual([3_600_000, 61_000, 900, 0, -5_000, 86_400_000].map(countdown), ["60:00", "1:01", "0:01", "0:00", "0:00", "24 h 0 min"]);
  });

  it("says sizes and counts", () => {
    assert.deepEqual([9, 1_536, 3_145_728].map(bytes), ["9 B", "1.5 KiB", "3.0 MiB"]);
    assert.deepEqual([counted(1, "step"), counted(1_200, "step")], ["1 step", "1,200 steps"]);
    assert.deepEqual(usageWords({ llm_calls: 2, tool_calls: 1, input_tokens: 900, output_tokens: 100, cost_usd: 0.0123 }), ["2 model calls", "1 tool call", "1,000 tokens", "$0.0123"]);
    assert.deepEqual(usageWords(null), []);
  });

  it("puts JSON on one line", () => {
    assert.equal(brief({ expression: "6*7" }), "6*7");
    assert.equal(brief({ name: "a.txt", text: "two\nlines", size: 3 }), "name: a.txt, text: two lines, size: 3");
    assert.equal(brief([1, { a: 2 }]), '[1,{"a":2}]');
    assert.equal(brief(null), "");
    assert.equal(brief("x".repeat(200), 10), `${"x".repeat(10)}…`);
    assert.equal(pretty({ a: 1 }), '{\n  "a": 1\n}');
    assert.equal(pretty("text"), "text");
  });

  it("cuts a snippet at its highlights, and takes other markup for text", () => {
    assert.deepEqual(parts("a <mark>b</mark> <i>c</i>"), [{ hit: false, text: "a " }, { hit: true, text: "b" }, { hit: false, text: " <i>c</i>" }]);
    assert.deepEqual(parts("<mark>broken"), [{ hit: false, text: "<mark>broken" }]);
  });
});

describe("how a mission stands", () => {
  const mission = (change) => ({ ...emptyMission("m", "s", "2026-11-21T20:12:03Z"), ...change });

  it("is said for every state", () => {
    const said = ["new", "queued", "running", "waiting", "blocked", "paused"].map((state) => headline(mission({ state })));
    assert.ok(said.every((words) => words.length > 3), said.join());
    const ends = ["completed", "failed", "cancelled", "timed_out", "quota_exceeded"].map((outcome) => headline(mission({ state: "ended", outcome })));
    assert.equal(new Set([...said, ...ends]).size, 11);
  });

  it("names what it waits for, its place, and the step that runs", () => {
    assert.equal(headline(mission({ state: "queued", position: 2, cause: "session_busy" })), "Queued, number 2: its session is busy");
    assert.equal(headline(mission({ state: "blocked", cause: "agent_missing" })), "Waits for an agent that is not there");
    assert.equal(headline(mission({ state: "running", steps: [{ state: "running", name: "clock", kind: "tool" }] })), "Running clock");
    assert.equal(headline(mission({ state: "waiting", interrupts: [{ status: "pending", kind: "confirmation" }] })), "Waits for your approval");
    assert.equal(headline(mission({ state: "paused", by: "ada" })), "Paused by ada");
  });
});

describe("what became of a question", () => {
  const asked = { kind: "confirmation", status: "resolved", by: "ada", tool: "t", arguments: { name: "a" }, message: "Run t?" };

  it("says who decided what", () => {
    assert.equal(verdict({ ...asked, approved: true }).text, "Approved by ada: t a");
    assert.equal(verdict({ ...asked, approved: true, edited: true }).text, "Approved with edited arguments by ada: t a");
    assert.equal(verdict({ ...asked, approved: false, note: "no" }).text, "Refused by ada: t a: “no”");
    assert.equal(verdict({ ...asked, status: "expired" }).text, "Expired, which counts as refused");
    assert.equal(verdict({ ...asked, status: "cancelled" }).tone, "calm");
    assert.equal(verdict({ kind: "clarification", status: "resolved", message: "Who?", answer: "Ada", by: "ada" }).text, "Who? — “Ada”, said by ada");
    assert.equal(verdict({ kind: "unknown_outcome", status: "resolved", decision: "it_happened", by: "ada" }).text, "Confirmed that it happened by ada");
  });
});

describe("announcements", () => {
  const event = (type, data = {}) => ({ type, session_id: "s", data });

  it("say the newest boundary of the open session, and nothing of tokens or other sessions", () => {
    const events = [event("mission.started"), event("llm.delta"), event("step.started")];
    assert.equal(announcements(events, "s"), "Mission started.");
    assert.equal(announcements(events, "other"), "");
    assert.equal(announcements([{ ...events[0], offset: 7 }], "s", 7), "", "what was there before is not news");
    assert.equal(asks([{ kind: "clarification", message: "Who?" }]), "Your answer is needed: Who?");
    assert.equal(asks([]), "");
    assert.equal(announcements([...events, event("interrupt.raised", { kind: "confirmation", message: "Run t?" })], "s"), "Your approval is needed: Run t?");
  });
});

describe("drafts and the outbox", () => {
  const storage = () => {
    const items = new Map();
    return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => void items.set(key, value), removeItem: (key) => void items.delete(key) };
  };

  it("keep a draft for each session and forget an empty one", () => {
    const store = storage();
    writeDraft(store, "s_1", "half");
    writeDraft(store, null, "new");
    assert.deepEqual([readDraft(store, "s_1"), readDraft(store, null), readDraft(store, "s_2")], ["half", "new", ""]);
    writeDraft(store, "s_1", "");
    assert.equal(readDraft(store, "s_1"), "");
  });

  it("keep what was not acknowledged, and survive a broken store", () => {
    const store = storage();
    const sent = { key: "k1", session_id: null, text: "a" };
    writeOutbox(store, [sent, { ...sent, key: "k2", message_id: "g" }, { ...sent, key: "k3", error: "no" }]);
    assert.deepEqual(readOutbox(store), [sent]);
    store.setItem("tower.outbox", "{broken");
    assert.deepEqual(readOutbox(store), []);
    const full = { ...store, setItem: () => { throw new Error("full"); } };
    writeDraft(full, "s_1", "x");
    writeOutbox(full, [sent]);
  });
});
