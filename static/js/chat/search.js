/** Search in messages, by REST. */

import { parts } from "../ui/snippet.js";
import { fetchRest } from "../ui/rest.js";
import { toast } from "../ui/toast.js";

/** @typedef {import("../ui/snippet.js").Part} Part */
/** @typedef {{message_id: string, session_id: string, session_title: string | null, snippet: Part[]}} Hit */

const LIMIT = 30;

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
