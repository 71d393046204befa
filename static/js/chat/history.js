/** A session's messages by REST, where the events that told of them are gone. */

import { fetchRest } from "../ui/rest.js";

/** @param {string} session_id @returns {Promise<import("./model.js").Message[]>} all of a session's messages */
export async function allMessages(session_id) {
  const limit = 500;
  /** @type {import("./model.js").Message[]} */ const messages = [];
  for (;;) {
    const path = `/api/v1/chat/sessions/${encodeURIComponent(session_id)}/messages`;
    const response = await fetchRest("GET", path, { query: { limit, offset: messages.length } });
    const page = await response.json();
    messages.push(...page);
    if (page.length < limit) return messages;
  }
}
