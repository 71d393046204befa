import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

const CSS = readFileSync(new URL("../../static/css/tokens.css", import.meta.url), "utf8");

/** The colours that a rule sets, by name. */
function colours(selector) {
  const from = CSS.indexOf(`${selector} {`);
  assert.ok(from >= 0, selector);
  return Object.fromEntries([...CSS.slice(from, CSS.indexOf("}", from)).matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map(([, name, value]) => [name, value]));
}

function luminance(colour) {
  const channel = (at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a, b) {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

const LIGHT = colours(":root");
const DARK = colours(':root[data-theme="dark"]');
const TEXT = ["ink", "ink-2", "ink-3", "accent", "good", "warn", "bad"];
const GROUNDS = ["ground", "surface", "raised", "sunken", "accent-soft", "warn-soft", "code-ground"];

describe("the colours", () => {
  it("are the same dark ones whether the system or the person chose them", () => {
    assert.deepEqual(colours(':root:not([data-theme="light"])'), DARK);
    assert.deepEqual(Object.keys(LIGHT).sort(), Object.keys(DARK).sort());
  });

  for (const [name, theme] of Object.entries({ light: LIGHT, dark: DARK })) {
    it(`keep 4.5:1 for text on every ground, in ${name}`, () => {
      const pairs = TEXT.flatMap((text) => GROUNDS.map((ground) => [text, ground]));
      pairs.push(["accent-ink", "accent"], ["accent-ink", "bad"], ["bad", "bad-soft"], ["good", "good-soft"]);
      pairs.push(...["code-red", "code-orange", "code-green"].map((text) => [text, "code-ground"]));
      for (const [text, ground] of pairs) assert.ok(contrast(theme[text], theme[ground]) >= 4.5, `${text} on ${ground}`);
    });

    it(`keep 3:1 for the edges of fields, in ${name}`, () => {
      assert.ok(contrast(theme["line-strong"], theme.surface) >= 3);
    });
  }
});
