/** The way from a question to its mission: to the chat for one's own, else its id. */

import { html } from "lit";
import { hello } from "../ui/connection.js";

/** @param {import("./questions.js").Question} question */
export function missionLink({ session_id, mission_id, user_id }) {
  if (user_id === hello.value?.user_id) return html`<a href="/#/s/${session_id}">its mission</a>`;
  return html`<code>${mission_id}</code>`;
}
