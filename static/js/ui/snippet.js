/** Search snippets with their highlights. Pure. */

/** @typedef {{text: string, hit: boolean}} Part */

/**
 * A snippet cut at its highlights, so that it can be drawn as text and marks.
 * @param {string} snippet with `<mark>…</mark>`
 * @returns {Part[]}
 */
export function parts(snippet) {
  return snippet
    .split(/(<mark>.*?<\/mark>)/s)
    .filter(Boolean)
    .map((part) => {
      const hit = part.startsWith("<mark>") && part.endsWith("</mark>");
      return { hit, text: hit ? part.slice(6, -7) : part };
    });
}
