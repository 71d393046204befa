/** The quota card's form: extend, finish with what there is, or cancel. */

import { html } from "lit";
import { icon } from "./icons.js";
import { decide } from "./answers.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */
/** @typedef {import("./ct_interrupt.js").CardState} CardState */

/** @param {Interrupt} interrupt @param {CardState} card */
export function exhaustedForm(interrupt, card) {
  const { resource, used, limit } = interrupt;
  const amount = Number(card.typed.amount ?? suggestion(limit));
  const fits = Number.isFinite(amount) && amount > 0;
  return html`
    ${resource ? html`<p class="meter"><span class="label">${words(resource)}</span><meter min="0" max=${limit ?? 1} high=${(limit ?? 1) * 0.8} optimum="0" value=${used ?? 1} aria-label=${words(resource)}></meter><span>${used} of ${limit}</span></p>` : ""}
    <div class="row">
      <label class="inline"
        ><span class="label">Add</span
        ><input
          type="number"
          min="0"
          step="any"
          .value=${String(amount)}
          aria-invalid=${!fits}
          aria-label="Amount to add"
          @input=${(/** @type {InputEvent} */ event) => card.type({ amount: /** @type {HTMLInputElement} */ (event.target).value })}
      /></label>
      <button class="button primary" type="button" ?disabled=${card.busy || !fits || !resource} @click=${() => card.submit(() => decide(interrupt, "extend", { quota: { [limitName(resource ?? "")]: amount } }))}>${icon("plus")} Extend</button>
      <button class="button" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => decide(interrupt, "finish"))}>Finish now</button>
      <button class="button ghost" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => decide(interrupt, "cancel"))}>${icon("cross")} Cancel the mission</button>
    </div>
  `;
}

/** @param {number | undefined} limit */
const suggestion = (limit) => (limit && limit > 1 ? Math.ceil(limit / 2) : 1);

/** What a limit is called in a quota: `max_llm_calls` for what is used as `llm_calls`. @param {string} resource */
const limitName = (resource) => (/^max_|_seconds$/.test(resource) ? resource : `max_${resource}`);

/** @param {string} resource */
const words = (resource) => resource.replace(/^max_/, "").replaceAll("_", " ");
