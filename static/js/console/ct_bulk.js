/** `<ct-bulk>`: asks before something is done to missions: to how many, to which, and why. */

import { html } from "lit";
import { counted } from "../ui/format.js";
import { define, View } from "../ui/view.js";
import { announcement } from "./announcement.js";
import { commandAll } from "./commands.js";
import { question } from "./dialogs.js";
import { untag } from "./selection.js";
import { processes } from "./store.js";

const NAMED = 6;
const VERBS = Object.freeze({ cancel: "Cancel", pause: "Pause", resume: "Resume" });
/** @type {Readonly<Record<import("./commands.js").Verb, {one: string, many: string}>>} */
const MEANS = Object.freeze({
  cancel: {
    one: "It ends now, with its sub-missions and open questions. This cannot be undone.",
    many: "They end now, with their sub-missions and open questions. This cannot be undone.",
  },
  pause: {
    one: "It stops at its next call, and holds no slot until it is resumed.",
    many: "They stop at their next call, and hold no slot until they are resumed.",
  },
  resume: {
    one: "It goes on where it stopped, as soon as a slot is free.",
    many: "They go on where they stopped, as soon as slots are free.",
  },
});

class BulkDialog extends View {
  constructor() {
    super();
    this.done = 0;
    this.busy = false;
  }

  render() {
    const asked = question.value;
    return html`<dialog class="dialog" aria-labelledby="bulk-title" @close=${close}>${asked ? this.#form(asked) : ""}</dialog>`;
  }

  /** @param {import("./dialogs.js").Question} asked */
  #form({ verb, ids }) {
    const title = `${VERBS[verb]} ${counted(ids.length, "mission")}`;
    return html`<form method="dialog" @submit=${this.#submit}>
      <h2 id="bulk-title">${title}?</h2>
      <ul class="named">
        ${ids.slice(0, NAMED).map((id) => html`<li>${processes.rows.get(id)?.mission ?? id}</li>`)}
        ${ids.length > NAMED ? html`<li class="muted">and ${(ids.length - NAMED).toLocaleString("en")} more</li>` : ""}
      </ul>
      <p class="hint">${MEANS[verb][ids.length === 1 ? "one" : "many"]}</p>
      <label class="label" for="bulk-reason">Reason</label>
      <input id="bulk-reason" maxlength="1000" autocomplete="off" placeholder="Kept with the mission" ?disabled=${this.busy} />
      <div class="row end">
        ${this.busy ? html`<span class="hint" role="status">${this.done.toLocaleString("en")} of ${ids.length.toLocaleString("en")}</span>` : ""}
        <button class="button" type="button" ?disabled=${this.busy} @click=${close}>Leave it</button>
        <button class="button ${verb === "cancel" ? "danger" : "primary"}" type="submit" ?disabled=${this.busy}>${title}</button>
      </div>
    </form>`;
  }

  updated() {
    const dialog = /** @type {HTMLDialogElement} */ (this.querySelector("dialog"));
    if (question.value && !dialog.open) {
      dialog.showModal();
      /** @type {HTMLElement | null} */ (dialog.querySelector("#bulk-reason"))?.focus();
    } else if (!question.value && dialog.open) dialog.close();
  }

  /** @param {Event} event */
  #submit = async (event) => {
    event.preventDefault();
    const asked = question.value;
    if (!asked || this.busy) return;
    const reason = /** @type {HTMLInputElement} */ (this.querySelector("#bulk-reason")).value.trim();
    this.#set({ busy: true, done: 0 });
    await commandAll(asked.verb, asked.ids, reason, (done) => this.#set({ done }));
    this.#set({ busy: false });
    announcement.value = `${VERBS[asked.verb]}: done.`;
    // Closed meanwhile, the person is elsewhere: their focus and what they tagged since stay.
    if (question.value !== asked) return;
    untag();
    close();
  };

  /** @param {Partial<{busy: boolean, done: number}>} change */
  #set(change) {
    Object.assign(this, change);
    this.requestUpdate();
  }
}

function close() {
  question.value = null;
  document.getElementById("processes")?.focus();
}

define("ct-bulk", BulkDialog);
