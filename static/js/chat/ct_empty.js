/** `<ct-empty>`: what to do with an empty page. */

import { html } from "lit";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import { outbox, resend, send, takeBack } from "./actions.js";
import { outgoingMessage } from "./outgoing.js";
import { go } from "./store.js";

const TO_TRY = [
  { text: "calculate 6*7", about: "One tool, one step, one answer." },
  { text: "write a.txt: hello then read a.txt then delete a.txt", about: "Three tools; it asks before it deletes." },
  { text: "ask me my name", about: "It waits for your answer, for a day if need be." },
];

class Empty extends View {
  static properties = { missing: { attribute: false } };

  constructor() {
    super();
    this.missing = false;
  }

  render() {
    const waiting = outbox.value.filter(({ session_id }) => session_id === null);
    return html`<section class="empty" aria-labelledby="empty-title">
      <div class="empty-mark">${icon("tower")}</div>
      <h1 id="empty-title">${this.missing ? "There is no such mission here" : "What should be done?"}</h1>
      ${this.missing
        ? html`<p>It may have been deleted, or belong to someone else. <button class="link" type="button" @click=${() => go(null)}>Start a new one</button></p>`
        : html`<p>Give a mission. Every step is shown as it happens, and nothing dangerous runs without you.</p>`}
      <ul class="tries" aria-label="Missions to try">
        ${TO_TRY.map(
          ({ text, about }) => html`<li>
            <button class="try" type="button" @click=${() => send(text, null)}>
              <span class="try-text">${text}</span><span class="try-about">${about}</span>${icon("send", "try-go")}
            </button>
          </li>`,
        )}
      </ul>
      <div class="outgoing">${waiting.map((one) => outgoingMessage(one, resend, takeBack))}</div>
    </section>`;
  }
}

define("ct-empty", Empty);
