import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CLOSE_CODES, closePolicy, RECONNECT, reconnectDelayMs, retryHintMs } from "../../static/js/wire/close_codes.js";
import { applyDelta, codePoints, firstCodePoints, NO_TEXT } from "../../static/js/wire/deltas.js";
import { SeenOffsets } from "../../static/js/wire/offsets.js";
import { TopicBook } from "../../static/js/wire/topics.js";

describe("close codes", () => {
  it("reconnects after every code of the wire but those where trying again is pointless", () => {
    const stays = Object.keys(CLOSE_CODES).filter((code) => !closePolicy(Number(code)).reconnect);
    assert.deepEqual(stays, ["1000", "1002", "1003", "1007", "1008", "1009", "4400", "4401"]);
    for (const code of [1001, 1006, 1011, 1012, 4408, 4413, 4429]) assert.ok(CLOSE_CODES[code].reconnect, String(code));
  });

  it("tries again after a code it does not know", () => assert.ok(closePolicy(4999).reconnect));

  it("spreads over the whole range under a ceiling from 0.5 s to 30 s", () => {
    assert.equal(reconnectDelayMs(0, () => 0), 0);
    assert.equal(reconnectDelayMs(0, () => 1), RECONNECT.base_ms);
    assert.equal(reconnectDelayMs(3, () => 1), 4000);
    assert.equal(reconnectDelayMs(500, () => 1), RECONNECT.cap_ms);
    assert.equal(reconnectDelayMs(0, () => 1, 2000), 2500);
  });

  it("reads the hint in either form, bounded", () => {
    assert.equal(retryHintMs('draining; {"retry_after_ms":1500}'), 1500);
    assert.equal(retryHintMs("retry_after_ms=250"), 250);
    assert.equal(retryHintMs("retry_after_ms=999999999"), RECONNECT.hint_cap_ms);
    assert.equal(retryHintMs("going away"), null);
    assert.equal(retryHintMs(undefined), null);
  });
});

describe("deltas", () => {
  const all = (...deltas) => deltas.reduce((state, [attempt, at, text]) => applyDelta(state, { attempt, at, text }), NO_TEXT);

  it("appends, and cuts at `at` when a piece comes again", () => {
    assert.equal(all([1, 0, "hel"], [1, 3, "lo"]).text, "hello");
    assert.equal(all([1, 0, "hello"], [1, 3, "p!"]).text, "help!");
    assert.equal(all([1, 0, "hello"], [1, 0, "hello world"]).text, "hello world");
  });

  it("drops lower attempts and starts anew with a higher one", () => {
    assert.equal(all([2, 0, "new"], [1, 0, "old"]).text, "new");
    assert.equal(all([1, 0, "old text"], [2, 0, "new"]).text, "new");
  });

  it("counts code points, not UTF-16 units", () => {
    const state = all([1, 0, "a😀b"], [1, 3, "😀"], [1, 4, "é"]);
    assert.equal(state.text, "a😀b😀é");
    assert.equal(state.points, 5);
    assert.equal(applyDelta(state, { attempt: 1, at: 2, text: "!" }).text, "a😀!");
    assert.equal(all([1, 0, "👩‍💻"], [1, 3, "ok"]).text, "👩‍💻ok");
    assert.equal(codePoints("👩‍💻"), 3);
    assert.equal(firstCodePoints("😀😀😀", 2), "😀😀");
  });

  it("takes a piece whose beginning was missed as it comes", () => {
    const state = all([1, 40, "tail"]);
    assert.equal(state.text, "tail");
    assert.equal(applyDelta(state, { attempt: 1, at: 0, text: "the whole" }).text, "the whole");
  });

  it("is the same as slicing a list of code points, for random pieces", () => {
    const alphabet = ["a", "é", "😀", "\ud83d", "字", "👩‍💻"];
    let seed = 7;
    const random = (n) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
    let state = NO_TEXT;
    let model = [];
    for (let i = 0; i < 500; i += 1) {
      const text = Array.from({ length: random(4) }, () => alphabet[random(alphabet.length)]).join("");
      const at = random(10) ? model.length : random(model.length + 1);
      model = [...[...model.slice(0, at).join("")], ...text];
      model = [...model.join("")];
      state = applyDelta(state, { attempt: 1, at, text });
      assert.equal(state.text, model.join(""));
    }
  });
});

describe("seen offsets", () => {
  it("knows each offset once, far apart and past 2^32", () => {
    const seen = new SeenOffsets();
    for (const offset of [1, 31, 32, 4095, 4096, 10_000_000, 2 ** 40]) {
      assert.ok(seen.add(offset), String(offset));
      assert.ok(!seen.add(offset), String(offset));
    }
    seen.clear();
    assert.ok(seen.add(1));
  });
});

describe("the book of topics", () => {
  it("puts topics at the same place with the same options into one call", () => {
    const book = new TopicBook();
    book.epoch = "e";
    book.want(["a", "b"], { since: "start" });
    book.want(["c"], { since: "start", types: ["mission.*"] });
    book.want(["d"]);
    assert.deepEqual(book.plan(), [
      { topics: ["a", "b"], since: 0, epoch: "e" },
      { topics: ["c"], since: 0, epoch: "e", types: ["mission.*"] },
      { topics: ["d"], since: "now" },
    ]);
  });

  it("never resumes below where a topic was attached", () => {
    const book = new TopicBook();
    book.want(["a"]);
    book.attached(["a"], { offset: 500, epoch: "e" });
    book.accept({ offset: 100 });
    assert.equal(book.plan()[0].since, 500);
  });

  it("resumes exactly over 300 random drops: every event once and in order for each topic", () => {
    let seed = 11;
    const random = (n) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
    const log = Array.from({ length: 4000 }, (_, i) => ({ offset: i + 1, topic: ["a", "b", "c"][random(3)] }));
    const book = new TopicBook();
    book.epoch = "e";
    book.want(["a", "b"], { since: "start" });
    const got = [];
    let cursor = 0;
    let added = false;
    for (let drop = 0; drop < 300; drop += 1) {
      if (drop === 150) {
        book.want(["c"], { since: "start" });
        added = true;
      }
      const from = new Map();
      for (const { topics, since } of book.plan()) for (const topic of topics) from.set(topic, since);
      for (const topics of [["a", "b"], ["c"]]) book.attached(topics, { offset: log.length, epoch: "e", recovered: true });
      cursor = Math.min(...from.values());
      const budget = drop === 299 ? Infinity : random(40);
      let sent = 0;
      for (const event of log.slice(cursor)) {
        if (sent >= budget) break;
        if (event.offset <= (from.get(event.topic) ?? Infinity)) continue;
        sent += 1;
        if (book.accept(event)) got.push(event.offset);
        // A replay is done when it has reached what the other topics have; told now and then, as it may be.
        if (event.offset >= book.head && random(5) === 0) book.replayDone({ topics: [...from.keys()], offset: event.offset });
      }
    }
    assert.ok(added);
    assert.equal(new Set(got).size, got.length, "nothing twice");
    assert.equal(got.length, log.length, "nothing lost");
    for (const topic of ["a", "b", "c"]) {
      const own = got.filter((offset) => log[offset - 1].topic === topic);
      assert.deepEqual(own, [...own].sort((x, y) => x - y), `topic ${topic} in order`);
    }
  });
});
