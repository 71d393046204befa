/**
 * `<ct-mission>`: one mission: how it stands, its steps with what was decided at each, its answer, and last, where
 * the eye is, the questions that are open.
 */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { now } from "../ui/connection.js";
import { counted, duration, pretty, usageWords } from "../ui/format.js";
import { icon, spinner } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import "../ui/markdown.js";
import { composerText, resume, send, stop } from "./actions.js";
import "../ui/ct_interrupt.js";
import "./ct_step.js";
import { fetchWhole } from "./whole.js";
import { liveText } from "./mission.js";
import { headline } from "./headline.js";

/** @typedef {import("./model.js").Mission} Mission */

/** More steps than these are folded, the newest shown. */
const STEPS_SHOWN = 100;

class MissionView extends View {
  static properties = { mission: { attribute: false }, missions: { attribute: false }, crowded: { attribute: false } };

  constructor() {
    super();
    /** @type {Mission | undefined} */ this.mission = undefined;
    /** All of the session's, for the children among them. @type {Mission[]} */ this.missions = [];
    /** Whether it runs beside others, so that "stop" has to say which. */ this.crowded = false;
    /** What the person chose; until then a mission is unfolded while it runs. @type {boolean | null} */ this.unfolded = null;
    this.all = false;
  }

  /** A mission is drawn again for itself and its children, not for its neighbours. @param {Map<string, unknown>} changed */
  shouldUpdate(changed) {
    if (changed.size !== 1 || !changed.has("missions")) return true;
    const children = this.#children;
    const same = this.drawn?.length === children.length && children.every((child, index) => child === this.drawn?.[index]);
    return !same || children.length > 0;
  }

  render() {
    const mission = this.mission;
    if (!mission) return "";
    this.drawn = this.#children;
    const ended = mission.state === "ended";
    const open = this.unfolded ?? !ended;
    const nested = Boolean(mission.parent_id);
    return html`<article class="mission ${nested ? "nested" : ""}" data-state=${ended ? mission.outcome : mission.state} aria-label="Mission: ${mission.mission}">
      <div class="mission-head">
        <button class="mission-toggle" type="button" aria-expanded=${open} @click=${() => this.#fold(!open)}>
          ${icon("chevron", "turns")} ${this.#mark(mission)} ${this.#headline(mission, nested)}
        </button>
        ${mission.state === "paused" ? html`<button class="button small" type="button" @click=${() => resume(mission.mission_id)}>${icon("retry")} Resume</button>` : ""}
        ${ended || nested || !this.crowded ? "" : html`<button class="button ghost small" type="button" @click=${() => stop(mission.mission_id)}>${icon("stop")} Stop</button>`}
      </div>
      ${open ? this.#work(mission) : mission.interrupts.filter(isClosed).map(card)}
      ${this.#answer(mission)} ${mission.interrupts.filter(isOpen).map(card)} ${ended && !nested ? this.#foot(mission) : ""}
    </article>`;
  }

  get #children() {
    return this.missions.filter(({ parent_id }) => parent_id === this.mission?.mission_id);
  }

  /** @param {boolean} unfolded */
  #fold(unfolded) {
    this.unfolded = unfolded;
    this.requestUpdate();
  }

  /** @param {Mission} mission */
  #mark({ state, outcome }) {
    if (state === "running" || state === "new") return spinner();
    const marks = /** @type {const} */ ({ waiting: "hand", paused: "pause", queued: "clock", blocked: "clock" });
    if (state !== "ended") return icon(marks[state]);
    return icon(outcome === "completed" ? "check" : outcome === "cancelled" ? "stop" : "cross");
  }

  /** @param {Mission} mission @param {boolean} nested a root mission's text stands above it as a message */
  #headline(mission, nested) {
    const { steps, duration_ms, started_at } = mission;
    const runs = mission.state === "running" && started_at;
    const time = duration_ms !== null ? duration(duration_ms) : runs ? duration(Math.max(0, Math.max(now.value, Date.now()) - Date.parse(started_at))) : "";
    const facts = [steps.length ? counted(steps.length, "step") : "", time, mission.agent].filter(Boolean);
    const text = nested ? html`<span class="nested-text">${mission.mission}</span>` : "";
    return html`<span class="headline">${headline(mission)}</span>${text}<span class="facts">${facts.join(" · ")}</span>`;
  }

  /** @param {Mission} mission */
  #work(mission) {
    const { steps, interrupts, streams } = mission;
    const hidden = this.all ? 0 : Math.max(0, steps.length - STEPS_SHOWN);
    const placed = new Set(steps.map(({ step }) => step));
    const closed = interrupts.filter(isClosed);
    const loose = closed.filter(({ step }) => !step || !placed.has(step));
    return html`
      ${hidden ? html`<button class="button ghost small" type="button" @click=${this.#showAll}>Show ${hidden.toLocaleString("en")} earlier steps</button>` : ""}
      ${steps.length
        ? html`<ol class="steps" start=${hidden + 1}>
            ${repeat(
              steps.slice(hidden),
              ({ step }) => step,
              (step) => html`<li>
                <ct-step .step=${step} .about=${this.#childOf(step)} .missionId=${mission.mission_id} .text=${streams[step.step]?.text ?? ""}></ct-step>
                ${closed.filter((one) => one.step === step.step).map(card)}
              </li>`,
            )}
          </ol>`
        : ""}
      ${this.#children.map((child) => html`<ct-mission .mission=${child} .missions=${this.missions}></ct-mission>`)} ${loose.map(card)}
      ${mission.notes.length ? html`<ul class="notes">${mission.notes.map(note)}</ul>` : ""}
    `;
  }

  /** The text of the sub-mission that a step starts or awaits, which says more than its id. @param {import("./model.js").Step} step */
  #childOf({ kind, input }) {
    if (kind !== "join" && kind !== "spawn") return "";
    const said = JSON.stringify(input);
    return this.#children.find(({ mission_id }) => said.includes(mission_id))?.mission ?? "";
  }

  #showAll = () => {
    this.all = true;
    this.requestUpdate();
  };

  /** @param {Mission} mission */
  #answer(mission) {
    const text = mission.state === "ended" && mission.outcome === "completed" ? mission.result : liveText(mission);
    const failed = mission.state === "ended" && mission.outcome !== "completed" && mission.outcome !== "cancelled";
    return html`
      ${text === null || text === "" ? "" : answerText(text, mission.state !== "ended")}
      ${failed ? html`<p class="failure">${icon("hand")}<span>${mission.error?.message ?? mission.reason ?? headline(mission)}</span></p>` : ""}
    `;
  }

  /** @param {Mission} mission */
  #foot(mission) {
    const { result, usage, outcome } = mission;
    const copy = () => navigator.clipboard.writeText(pretty(result));
    return html`<div class="mission-foot">
      ${outcome === "completed" && result ? html`<button class="button ghost small" type="button" @click=${copy}>${icon("copy")} Copy</button>` : ""}
      <button class="button ghost small" type="button" @click=${() => send(mission.mission, mission.session_id, mission.agent)}>${icon("retry")} Run again</button>
      <button class="button ghost small" type="button" @click=${() => (composerText.value = mission.mission)}>${icon("edit")} Edit</button>
      <span class="facts">${usageWords(usage).join(" · ")}</span>
    </div>`;
  }
}

/** @param {unknown} value @param {boolean} streaming */
function answerText(value, streaming) {
  if (typeof value !== "string") return html`<figure class="code"><pre tabindex="0"><code>${pretty(value)}</code></pre></figure>`;
  return html`<ct-markdown class="prose answer" .streaming=${streaming} .text=${value}></ct-markdown>`;
}

/** @param {import("./model.js").Interrupt} interrupt */
const isOpen = ({ status }) => status === "pending";
/** @param {import("./model.js").Interrupt} interrupt */
const isClosed = ({ status }) => status !== "pending";
/** @param {import("./model.js").Interrupt} interrupt */
const card = (interrupt) => html`<ct-interrupt .interrupt=${interrupt}></ct-interrupt>`;

/** @param {import("./model.js").Note} one */
function note({ kind, text, artifact }) {
  const marks = /** @type {const} */ ({ progress: "spark", quota: "hand", recovered: "retry", preempted: "pause", artifact: "file" });
  const open = () => artifact && fetchWhole(artifact.url, artifact.name);
  return html`<li data-kind=${kind}>${icon(marks[kind])} ${artifact ? html`<button class="link" type="button" @click=${open}>${text}</button>` : text}</li>`;
}

define("ct-mission", MissionView);
