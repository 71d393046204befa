import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { asLines, fits, STRETCH, stretchBefore } from "../../static/js/governance/audit.js";
import { asCsv } from "../../static/js/governance/csv.js";
import { decisions, KEPT, kindOf, merge, pending, reduce } from "../../static/js/governance/questions.js";

const at = (minute) => `2026-11-21T20:${String(minute).padStart(2, "0")}:00.000Z`;
const ev = (type, id, minute, data = {}) => ({ type, at: at(minute), session_id: "s_1", mission_id: "m_1", user_id: "ana", data: { interrupt_id: id, ...data } });
const raised = (id, minute, more = {}) =>
  ev("interrupt.raised", id, minute, { kind: "confirmation", message: `Delete ${id}?`, tool: "workspace.delete", arguments: { name: id }, expires_at: at(59), ...more });
const answered = (id, minute, more) => ev("interrupt.resolved", id, minute, { kind: "confirmation", by: "ops", ...more });

const RECORD = {
  ...{ interrupt_id: "i_9", kind: "confirmation", mission_id: "m_9", session_id: "s_9", user_id: "bo", step: "1", message: "Pay?", tool: "pay", arguments: { amount: 5 } },
  ...{ status: "resolved", created_at: at(1), expires_at: null, answered_by: "ops", answered_at: at(2), answer: { approved: true, arguments: { amount: 4 }, message: "less" } },
};

describe("questions", () => {
  it("wait in the order in which they were asked, until they are decided", () => {
    let known = reduce({}, [raised("i_2", 2), raised("i_1", 1), raised("i_3", 3)]);
    assert.deepEqual(pending(known).map(({ interrupt_id }) => interrupt_id), ["i_1", "i_2", "i_3"]);
    known = reduce(known, [answered("i_1", 4, { approved: true }), ev("interrupt.expired", "i_2", 5, { kind: "confirmation" })]);
    assert.deepEqual(pending(known).map(({ interrupt_id }) => interrupt_id), ["i_3"]);
    assert.deepEqual(decisions(known, "all").map((one) => [one.interrupt_id, kindOf(one)]), [["i_2", "expired"], ["i_1", "approved"]]);
  });

  it("say who decided, with what, and whether the arguments were others", () => {
    const [one] = decisions(reduce({}, [raised("i_1", 1), answered("i_1", 2, { approved: true, arguments: { name: "x" }, message: "that one" })]), "all");
    assert.deepEqual([one.by, one.note, one.edited, one.arguments, one.answered_at], ["ops", "that one", true, { name: "x" }, at(2)]);
    assert.equal(one.message, "Delete i_1?");
  });

  it("count an expiry as a refusal only where a yes was asked for", () => {
    const known = reduce({}, [raised("i_1", 1), raised("i_2", 1, { kind: "clarification" }), raised("i_3", 1), ...["i_1", "i_2"].map((id) => ev("interrupt.expired", id, 2)), answered("i_3", 3, { approved: false })]);
    assert.deepEqual(decisions(known, "refused").map(({ interrupt_id }) => interrupt_id), ["i_3", "i_1"]);
    assert.equal(decisions(known, "expired").length, 2);
  });

  it("know what a list says of what they never saw, and do not go back to open", () => {
    const known = merge({}, [RECORD]);
    const [one] = decisions(known, "approved");
    assert.deepEqual([one.by, one.note, one.edited, one.arguments, one.raised_at], ["ops", "less", true, { amount: 4 }, at(1)]);
    assert.equal(reduce(known, [answered("i_9", 9, { approved: false })]), known);
  });

  it("stay decided when a list that was read before comes after, or the asking itself", () => {
    const known = reduce({}, [answered("i_9", 2, { approved: true })]);
    assert.deepEqual(merge(known, [{ ...RECORD, status: "pending", answered_by: null, answered_at: null, answer: null }]), known);
    assert.equal(reduce(known, [raised("i_9", 1)]), known);
    assert.equal(pending(merge({}, [{ ...RECORD, status: "pending" }])).length, 1);
  });

  it("are bounded while events come, the oldest decisions going first, the open ones never", () => {
    const many = Array.from({ length: KEPT + 5 }, (_, n) => answered(`i_${n}`, n % 60, { approved: true }));
    const known = reduce(reduce({}, [raised("i_open", 0)]), many);
    assert.equal(Object.keys(known).length, KEPT);
    assert.equal(pending(known).length, 1);
    assert.equal(decisions(known, "all")[0].answered_at, at(59));
    const asked = merge(known, [{ ...RECORD, interrupt_id: "i_old" }]);
    assert.equal(Object.keys(reduce(asked, [answered("i_more", 58, { approved: true })])).length, KEPT + 1);
  });

  it("keep a decision whose question was asked before anybody looked", () => {
    const [one] = decisions(reduce({}, [answered("i_1", 2, { approved: false, by: "ops" })]), "refused");
    assert.deepEqual([one.user_id, one.raised_at, one.edited], ["ana", at(2), false]);
  });

  it("that ended with their mission are no decision of anybody", () => {
    const known = reduce({}, [raised("i_1", 1), ev("interrupt.cancelled", "i_1", 2)]);
    assert.equal(kindOf(decisions(known, "all")[0]), "dropped");
    assert.deepEqual(decisions(known, "refused"), []);
  });
});

describe("the audit", () => {
  const event = { offset: 3, type: "interrupt.resolved", at: at(1), user_id: "ana", mission_id: "m_1", data: { by: "ops", tool: "workspace.delete", message: "Keep it" } };

  it("reads the log backwards in stretches, to its very beginning", () => {
    assert.deepEqual(stretchBefore(2_501), { since: 1_500, upto: 2_500 });
    assert.deepEqual(stretchBefore(1_501), { since: 500, upto: 1_500 });
    assert.deepEqual(stretchBefore(501), { since: 0, upto: 500 });
    assert.equal(stretchBefore(1), null);
    assert.equal(STRETCH, 1_000);
  });

  it("finds by words anywhere, by kind, and by whoever it was of or by", () => {
    const found = (change) => fits(event, { words: "", kind: "", user: "", ...change });
    assert.ok(found({}) && found({ words: "KEEP delete" }) && found({ kind: "interrupt" }) && found({ user: "ana" }) && found({ user: "ops" }));
    assert.ok(!found({ words: "keep zebra" }) && !found({ kind: "mission" }) && !found({ user: "bo" }));
    assert.ok(!found({ kind: "inter" }));
  });

  it("is taken along as lines of JSON", () => {
    assert.equal(asLines([]), "");
    assert.deepEqual(asLines([event, event]).trimEnd().split("\n").map((line) => JSON.parse(line)), [event, event]);
  });
});

describe("decisions as a table", () => {
  it("have a head and a row each, and say what was said", () => {
    const known = reduce(merge({}, [RECORD]), [raised("i_1", 3, { kind: "clarification", tool: undefined, arguments: undefined }), ev("interrupt.resolved", "i_1", 4, { kind: "clarification", answer: "green, \"not\" red", by: "ana" })]);
    const [head, first, second, rest] = asCsv(decisions(known, "all")).split("\r\n");
    assert.match(head, /^decided_at,decision,by,for,kind/);
    assert.match(first, /,answered,ana,ana,clarification,.*"green, ""not"" red"/);
    assert.match(second, /,approved,ops,bo,confirmation,pay,"\{""amount"":4\}",less/);
    assert.equal(rest, "");
  });

  it("are kept from becoming formulas", () => {
    const [one] = decisions(reduce({}, [raised("i_1", 1), answered("i_1", 2, { approved: true, message: "=HYPERLINK(1)" })]), "all");
    assert.match(asCsv([one]), /,'=HYPERLINK\(1\),/);
  });
});
