/** `<ct-step>`: one system call: what it was asked, what it gave, and how long that took. */

import { html } from "lit";
import { brief, bytes, duration, pretty } from "../ui/format.js";
import { highlight } from "../ui/highlight.js";
import { icon, spinner } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import "../ui/markdown.js";
import { wholeStep } from "./whole.js";

/** @typedef {import("./model.js").Step} Step */

const MARKS = /** @type {const} */ ({ done: "check", failed: "cross", unfinished: "minus" });
const STATES = /** @type {const} */ ({ running: "running", retrying: "failed, is tried again", done: "done", failed: "failed", unfinished: "not finished" });

class StepView extends View {
  static properties = { step: { attribute: false }, about: { attribute: false }, text: { attribute: false }, missionId: { attribute: false } };

  constructor() {
    super();
    /** @type {Step | undefined} */ this.step = undefined;
    /** What to say instead of a short form of its input. */
    this.about = "";
    /** What a model's turn has said so far. */
    this.text = "";
    this.missionId = "";
    this.open = false;
    /** The whole output, once it was asked for. @type {unknown} */ this.whole = undefined;
  }

  render() {
    const { step } = this;
    if (!step) return "";
    const outcome = step.state === "done" ? brief(step.output) : (step.error?.message ?? "");
    return html`<details class="step" data-state=${step.state} ?open=${this.open} @toggle=${this.#toggled}>
      <summary>
        ${step.state in MARKS ? icon(MARKS[/** @type {keyof typeof MARKS} */ (step.state)], "mark") : spinner()}
        <span class="visually-hidden">${STATES[step.state]}:</span>
        <span class="step-kind">${step.kind}</span>
        <span class="step-name">${step.name === step.kind ? "" : step.name}</span>
        <span class="step-brief">${this.about || brief(step.input)}${outcome ? html`<span class="arrow" aria-hidden="true">→</span><span class="visually-hidden">gave</span>${outcome}` : ""}</span>
        ${step.attempt > 1 ? html`<span class="chip">attempt ${step.attempt}</span>` : ""}
        <span class="step-time">${step.duration_ms === null ? "" : duration(step.duration_ms)}</span>
      </summary>
      ${this.open ? this.#inside(step) : ""}
    </details>`;
  }

  /** @param {Step} step */
  #inside(step) {
    const output = this.whole ?? step.output;
    return html`<div class="step-inside">
      ${step.input === null || step.input === undefined ? "" : block("Input", step.input)} ${this.text ? block("Output so far", this.text) : ""}
      ${step.state === "done" ? block("Output", output) : ""}
      ${step.error ? html`<p class="failure">${icon("hand")}<span>${step.error.message ?? "Failed"} ${step.error.code ? html`<code>${step.error.code}</code>` : ""}</span></p>` : ""}
      ${step.size && this.whole === undefined ? html`<button class="button small" type="button" @click=${this.#showWhole}>Show all ${bytes(step.size)}</button>` : ""}
    </div>`;
  }

  /** @param {Event} event */
  #toggled = (event) => {
    const { open } = /** @type {HTMLDetailsElement} */ (event.target);
    if (open === this.open) return;
    this.open = open;
    this.requestUpdate();
  };

  #showWhole = async () => {
    const record = await wholeStep(this.missionId, this.step?.step ?? "");
    if (!record) return;
    this.whole = record.output;
    this.requestUpdate();
  };
}

/** @param {string} label @param {unknown} value */
function block(label, value) {
  const text = pretty(value);
  return html`<figure class="code"><figcaption>${label}</figcaption><pre tabindex="0"><code>${typeof value === "string" ? text : highlight(text, "json")}</code></pre></figure>`;
}

define("ct-step", StepView);
