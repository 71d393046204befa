/** The way from a question to its mission. */

import { html } from "lit";

/** @param {import("./questions.js").Question} question */
export function missionLink({ session_id, mission_id }) {
  return html`<a href="/#/s/${session_id}/${mission_id}" title=${mission_id}>its mission</a>`;
}
