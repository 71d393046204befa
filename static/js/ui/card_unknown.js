/** The unknown-outcome card's form: a person says what became of a side effect that was cut off. */

import { html } from "lit";
import { pretty } from "./format.js";
import { highlight } from "./highlight.js";
import { icon } from "./icons.js";
import { decide } from "./answers.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */
/** @typedef {import("./ct_interrupt.js").CardState} CardState */

/** @param {Interrupt} interrupt @param {CardState} card */
export function unknownForm(interrupt, card) {
  const { interrupt_id, tool } = interrupt;
  const result = String(card.typed.result ?? "");
  return html`
    ${tool
      ? html`<div class="call">
          <p class="call-tool"><span class="label">Tool</span> <code>${tool}</code></p>
          <pre class="call-arguments" tabindex="0" aria-label="Arguments"><code>${highlight(pretty(interrupt.arguments ?? {}), "json")}</code></pre>
        </div>`
      : ""}
    <label class="note-field" for="result-${interrupt_id}"
      ><span class="label">If it happened, what did it give? Text or JSON</span
      ><input id="result-${interrupt_id}" .value=${result} @input=${(/** @type {InputEvent} */ event) => card.type({ result: /** @type {HTMLInputElement} */ (event.target).value })}
    /></label>
    <div class="row">
      <button class="button primary" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => decide(interrupt, "it_happened", { result: value(result) }))}>${icon("check")} It happened</button>
      <button class="button" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => decide(interrupt, "retry"))}>${icon("retry")} It did not: try again</button>
      <button class="button ghost" type="button" ?disabled=${card.busy} @click=${() => card.submit(() => decide(interrupt, "fail"))}>${icon("cross")} Give up on it</button>
    </div>
  `;
}

/** JSON where it is JSON, else the words; nothing is null. @param {string} text @returns {unknown} */
function value(text) {
  if (!text.trim()) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
