import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { lexBlocks, NO_BLOCKS } from "../../static/js/ui/blocks.js";
import { Marked } from "../../static/vendor/marked/marked.esm.js";

const marked = new Marked({ gfm: true, breaks: true });
const lex = (text) => marked.lexer(text);
const TEXT = `# Title

First paragraph with **bold** and a [link](https://example.org).

- one
- two

  still two
- three

\`\`\`python
def f():

    return 1
\`\`\`

| a | b |
|---|---|
| 1 | 2 |

> quoted
> more

1. first
2. second

Last line 😀
`;

/** Feeds a text in pieces and returns every state. */
function stream(text, size, lexer = lex) {
  const states = [];
  for (let end = size; end < text.length + size; end += size) states.push(lexBlocks(states.at(-1) ?? NO_BLOCKS, text.slice(0, end), lexer));
  return states;
}

const html = ({ blocks }) => blocks.map(({ token, links }) => marked.parser(Object.assign([token], { links }))).join("");

describe("streamed Markdown", () => {
  for (const size of [1, 3, 7, 40]) {
    it(`reads the same in pieces of ${size} as at once, at every step`, () => {
      for (const state of stream(TEXT, size)) assert.equal(html(state), marked.parse(state.text));
    });
  }

  it("keeps stable blocks as the same objects, so that they are not drawn again", () => {
    const states = stream(TEXT, 5);
    states.slice(1).forEach((state, index) => {
      const before = states[index];
      for (let i = 0; i < before.stable; i += 1) assert.equal(state.blocks[i], before.blocks[i]);
    });
    assert.ok(states.at(-1).stable >= 8);
  });

  it("lexes only what lies behind the last stable block", () => {
    const lengths = [];
    const long = `${"A paragraph of some words.\n\n".repeat(400)}The end.`;
    stream(long, 50, (text) => (lengths.push(text.length), lex(text)));
    assert.ok(Math.max(...lengths.slice(5)) < 200, `lexed ${Math.max(...lengths.slice(5))} characters at once`);
  });

  it("starts anew when the text is another one", () => {
    const before = lexBlocks(NO_BLOCKS, "One.\n\nTwo.\n\nThree", lex);
    assert.equal(html(lexBlocks(before, "Other.\n\nText", lex)), marked.parse("Other.\n\nText"));
  });

  it("takes any kind of line end", () => {
    assert.equal(html(lexBlocks(NO_BLOCKS, "a\r\n\r\nb\r\rc", lex)), marked.parse("a\n\nb\n\nc"));
  });
});
