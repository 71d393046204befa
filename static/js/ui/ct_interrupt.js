/**
 * `<ct-interrupt>`: a question to a person. While it is open it is a card that says exactly what will happen; once
 * it is answered, one line that says who decided what.
 */

import { html } from "lit";
import { countdown, duration } from "./format.js";
import { icon } from "./icons.js";
import { define, View } from "./view.js";
import { clarificationForm } from "./card_clarification.js";
import { confirmationForm } from "./card_confirmation.js";
import { exhaustedForm } from "./card_exhausted.js";
import { unknownForm } from "./card_unknown.js";
import { looksOnly, now } from "./connection.js";
import { verdict } from "./verdict.js";

/** @typedef {import("./interrupts.js").Interrupt} Interrupt */

/**
 * What a card's form may use of its element: what was typed, and how to answer.
 * @typedef {object} CardState
 * @property {boolean} busy an answer is on its way
 * @property {string} error why the last one was not taken
 * @property {Record<string, string | boolean>} typed
 * @property {(change: Record<string, string | boolean>) => void} type
 * @property {(answer: () => Promise<void>) => void} submit
 * @property {(error: string) => void} refuse
 */

const TITLES = Object.freeze({
  confirmation: "Approval needed",
  clarification: "A question for you",
  resource_exhausted: "The quota is used up",
  unknown_outcome: "Did it happen?",
});
const FORMS = Object.freeze({
  confirmation: confirmationForm,
  clarification: clarificationForm,
  resource_exhausted: exhaustedForm,
  unknown_outcome: unknownForm,
});

class InterruptCard extends View {
  static properties = { interrupt: { attribute: false } };

  constructor() {
    super();
    /** @type {Interrupt | undefined} */ this.interrupt = undefined;
    this.busy = false;
    this.error = "";
    /** @type {Record<string, string | boolean>} */ this.typed = {};
  }

  render() {
    const { interrupt } = this;
    if (!interrupt) return "";
    if (interrupt.status !== "pending") return closedLine(interrupt);
    const form = FORMS[interrupt.kind];
    const id = `q-${interrupt.interrupt_id}`;
    return html`<section class="card" data-kind=${interrupt.kind} aria-labelledby=${id}>
      <div class="card-head">
        ${icon(interrupt.kind === "clarification" ? "question" : "hand")}
        <h3 id=${id}>${TITLES[interrupt.kind] ?? "A question for you"}</h3>
        ${interrupt.risk ? html`<span class="chip risk" data-risk=${interrupt.risk}>${interrupt.risk.replaceAll("_", " ")}</span>` : ""} ${expiry(interrupt)}
      </div>
      <p class="card-message">${interrupt.message}</p>
      ${looksOnly() ? html`<p class="hint">You may watch, not answer.</p>` : form?.(interrupt, this.#state)}
      ${this.error ? html`<p class="failure" role="alert">${icon("hand")}<span>${this.error}</span></p>` : ""}
    </section>`;
  }

  /** @returns {CardState} */
  get #state() {
    return {
      busy: this.busy,
      error: this.error,
      typed: this.typed,
      type: (change) => this.#set({ typed: { ...this.typed, ...change } }),
      submit: (answer) => void this.#submit(answer),
      refuse: (error) => this.#set({ error }),
    };
  }

  /** @param {() => Promise<void>} answer */
  async #submit(answer) {
    if (this.busy) return;
    this.#set({ busy: true, error: "" });
    try {
      await answer();
      this.#set({ busy: false });
    } catch (error) {
      this.#set({ busy: false, error: /** @type {Error} */ (error).message });
    }
  }

  /** @param {Partial<{busy: boolean, error: string, typed: Record<string, string | boolean>}>} change */
  #set(change) {
    Object.assign(this, change);
    this.requestUpdate();
  }
}

/** @param {Interrupt} interrupt */
function expiry({ expires_at, kind }) {
  if (!expires_at) return "";
  const left = Date.parse(expires_at) - Math.max(now.value, Date.now());
  const meaning = kind === "confirmation" ? "Not answered, it counts as refused." : "";
  return html`<span class="expiry" role="timer" aria-live="off" title=${meaning}>${icon("clock")} ${left > 0 ? countdown(left) : "expiring"}<span class="visually-hidden"> left</span></span>`;
}

/** @param {Interrupt} interrupt */
function closedLine(interrupt) {
  const { mark, tone, text } = verdict(interrupt);
  const after = interrupt.answered_at ? Date.parse(interrupt.answered_at) - Date.parse(interrupt.raised_at) : null;
  return html`<p class="verdict" data-tone=${tone}>
    ${icon(mark)}<span>${text}</span>${after === null ? "" : html`<span class="facts">after ${duration(after)}</span>`}
  </p>`;
}

define("ct-interrupt", InterruptCard);
