/** The confirmation card's form: exactly what will run, with its arguments open to editing. */

import { html } from "lit";
import { pretty } from "./format.js";
import { highlight } from "./highlight.js";
import { icon } from "./icons.js";
import { confirm } from "./answers.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */
/** @typedef {import("./ct_interrupt.js").CardState} CardState */

/** @param {Interrupt} interrupt @param {CardState} card */
export function confirmationForm(interrupt, card) {
  const { interrupt_id: id, tool } = interrupt;
  const editing = card.typed.editing === true;
  const text = String(card.typed.arguments ?? pretty(interrupt.arguments ?? {}));
  return html`
    ${tool || interrupt.arguments
      ? html`<div class="call">
          ${tool ? html`<p class="call-tool"><span class="label">Tool</span> <code>${tool}</code></p>` : ""}
          ${editing ? editor(id, text, card) : html`<pre class="call-arguments" tabindex="0" aria-label="Arguments"><code>${highlight(text, "json")}</code></pre>`}
        </div>`
      : ""}
    <input
      class="note-field"
      maxlength="1000"
      aria-label="Note (optional)"
      placeholder="Note (optional)"
      .value=${String(card.typed.message ?? "")}
      @input=${(/** @type {InputEvent} */ event) => card.type({ message: /** @type {HTMLInputElement} */ (event.target).value })}
    />
    <div class="row">
      <button class="button primary" type="button" ?disabled=${card.busy} @click=${() => approve(interrupt, card, editing, text)}>${icon("check")} ${editing ? "Approve as edited" : "Approve"}</button>
      <button class="button" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => confirm(interrupt, false, note(card)))}>${icon("cross")} Refuse</button>
      ${tool && interrupt.arguments
        ? html`<button class="button ghost" type="button" @click=${() => card.type({ editing: !editing, arguments: pretty(interrupt.arguments) })}>${icon("edit")} ${editing ? "Undo edits" : "Edit arguments"}</button>`
        : ""}
    </div>
  `;
}

/** @param {string} id @param {string} text @param {CardState} card */
function editor(id, text, card) {
  return html`<label class="visually-hidden" for="arguments-${id}">Arguments as JSON</label>
    <textarea
      id="arguments-${id}"
      class="code-field"
      spellcheck="false"
      rows=${Math.min(14, text.split("\n").length + 1)}
      aria-invalid=${parse(text) === null}
      .value=${text}
      @input=${(/** @type {InputEvent} */ event) => card.type({ arguments: /** @type {HTMLTextAreaElement} */ (event.target).value })}
    ></textarea>`;
}

/** @param {Interrupt} interrupt @param {CardState} card @param {boolean} editing @param {string} text */
function approve(interrupt, card, editing, text) {
  const edited = editing ? parse(text) : undefined;
  if (edited === null) return card.refuse("These arguments are not a JSON object.");
  return card.submit(() => confirm(interrupt, true, { ...note(card), ...(edited && { arguments: edited }) }));
}

/** @param {CardState} card @returns {{message?: string}} */
function note({ typed }) {
  const message = String(typed.message ?? "").trim();
  return message ? { message } : {};
}

/** @param {string} text @returns {Record<string, unknown> | null} null unless it is a JSON object */
function parse(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
