/** A message on its way: shown at once, marked until the server has it. */

import { html } from "lit";
import { spinner, icon } from "../ui/icons.js";

/** @typedef {import("./drafts.js").Outgoing} Outgoing */

/**
 * @param {Outgoing} one
 * @param {(one: Outgoing) => unknown} resend
 * @param {(one: Outgoing) => unknown} takeBack
 */
export function outgoingMessage(one, resend, takeBack) {
  const note = one.error
    ? html`<p class="message-note failed">${icon("hand")} Not sent: ${one.error}
        <button class="link" type="button" @click=${() => resend(one)}>Send again</button>
        <button class="link" type="button" @click=${() => takeBack(one)}>Edit</button></p>`
    : html`<p class="message-note">${spinner()} Sending</p>`;
  return html`<article class="message user" aria-label="Your message, not sent yet"><p class="bubble">${one.text}</p>${one.message_id ? "" : note}</article>`;
}
