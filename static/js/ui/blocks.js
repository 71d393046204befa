/**
 * Streaming Markdown without reading it all again: text that only grows is lexed from its last stable block on.
 *
 * A block is stable once another one has begun behind it: nothing that is appended can change it any more. Only
 * link definitions act at a distance, so a finished text is lexed once as a whole.
 */

/** @typedef {{raw: string, type: string}} Token */
/** @typedef {{raw: string, token: Token, links: object}} Block */
/** @typedef {(text: string) => Token[] & {links?: object}} Lexer */

/**
 * @typedef {object} Lexed
 * @property {string} text
 * @property {Block[]} blocks
 * @property {number} stable how many of them can't change by appending
 * @property {number} end where in the text those end
 */

/** @type {Readonly<Lexed>} */
export const NO_BLOCKS = Object.freeze({ text: "", blocks: [], stable: 0, end: 0 });

/**
 * Lexes a text, keeping (as the very same objects) the stable blocks of an earlier state of it.
 * @param {Readonly<Lexed>} before
 * @param {string} source
 * @param {Lexer} lex
 * @returns {Lexed}
 */
export function lexBlocks(before, source, lex) {
  const text = source.replace(/\r\n?/g, "\n");
  const grows = before.end > 0 && text.startsWith(before.text.slice(0, before.end));
  const [kept, from] = grows ? [before.blocks.slice(0, before.stable), before.end] : [[], 0];
  const tokens = lex(text.slice(from));
  const fresh = tokens.map((token) => ({ raw: token.raw, token, links: tokens.links ?? {} }));
  const last = fresh.findLastIndex(({ token }) => token.type !== "space");
  const settled = fresh.slice(0, Math.max(0, last));
  const length = settled.reduce((sum, { raw }) => sum + raw.length, 0);
  const exact = text.slice(from).startsWith(settled.map(({ raw }) => raw).join(""));
  const blocks = reuse(before.blocks, [...kept, ...fresh], kept.length);
  if (!exact) return { text, blocks, stable: kept.length, end: from };
  return { text, blocks, stable: kept.length + settled.length, end: from + length };
}

/** Blocks that read the same stay the same object, so that what was drawn for them stays. @param {Block[]} before @param {Block[]} after @param {number} from */
function reuse(before, after, from) {
  return after.map((block, index) => (index >= from && before[index]?.raw === block.raw && sameLinks(before[index], block) ? before[index] : block));
}

/** @param {Block} a @param {Block} b */
function sameLinks(a, b) {
  return a.links === b.links || JSON.stringify(a.links) === JSON.stringify(b.links);
}
