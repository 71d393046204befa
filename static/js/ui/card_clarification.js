/** The clarification card's form: options to pick, or words. */

import { html } from "lit";
import { clarify } from "./answers.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */
/** @typedef {import("./ct_interrupt.js").CardState} CardState */

/** @param {Interrupt} interrupt @param {CardState} card */
export function clarificationForm(interrupt, card) {
  const { options, interrupt_id } = interrupt;
  const text = String(card.typed.answer ?? "");
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (text.trim()) card.submit(() => clarify(interrupt, text.trim()));
  };
  return html`
    ${options?.length
      ? html`<div class="row" role="group" aria-label="Answers">
          ${options.map((option) => html`<button class="button" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => clarify(interrupt, option))}>${option}</button>`)}
        </div>`
      : ""}
    <form class="row" @submit=${submit}>
      <label class="visually-hidden" for="answer-${interrupt_id}">${interrupt.message}</label>
      <input
        id="answer-${interrupt_id}"
        class="grow"
        maxlength="2000"
        autocomplete="off"
        placeholder=${options?.length ? "Or in your own words" : "Your answer"}
        .value=${text}
        @input=${(/** @type {InputEvent} */ event) => card.type({ answer: /** @type {HTMLInputElement} */ (event.target).value })}
      />
      <button class="button primary" type="submit" ?disabled=${card.busy || !text.trim()}>Answer</button>
    </form>
  `;
}
