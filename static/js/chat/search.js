/** Search in messages, by REST. */

import { fetchRest } from "./rest.js";
import { toast } from "./store.js";

/** @typedef {{text: string, hit: boolean}} Part */
/** @typedef {{message_id: string, session_id: string, session_title: string | null, snippet: Part[]}} Hit */

const LIMIT = 30;

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

/** @param {string} query @returns {Promise<Hit[]>} none when it failed, which was shown */
export async function search(query) {
  try {
    const response = await fetchRest("GET", "/api/v1/chat/search", { query: { query, limit: LIMIT } });
    const hits = await response.json();
    return hits.map((/** @type {any} */ hit) => ({ ...hit, snippet: parts(hit.snippet) }));
  } catch (error) {
    toast(/** @type {Error} */ (error).message);
    return [];
  }
}
