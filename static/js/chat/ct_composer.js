/** `<ct-composer>`: where a mission, or an answer to an open question, is written. */

import { html } from "lit";
import { live } from "lit-html/directives/live.js";
import { looksOnly } from "../ui/connection.js";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import { composerText, send, stop } from "./actions.js";
import { nextAgent } from "./agent_choice.js";
import { choices } from "./agents.js";
import { readDraft, writeDraft } from "./drafts.js";
import { chat, sessionId } from "./store.js";
import { activeMissions, openInterrupts } from "./timeline.js";

const LIMIT = 10_000;

class Composer extends View {
  constructor() {
    super();
    /** The session whose draft is in the box. @type {string | null | undefined} */
    this.shown = undefined;
    this.text = "";
    /** The agent that was picked for this session. @type {string | null} */ this.picked = null;
    /** The agent that the text goes to; without: the default one. @type {string | undefined} */ this.agent = undefined;
  }

  willUpdate() {
    if (this.shown !== sessionId.value) {
      this.shown = sessionId.value;
      this.picked = null;
      this.text = readDraft(localStorage, this.shown);
    }
    if (composerText.value !== null) {
      this.text = composerText.value;
      composerText.value = null;
      this.updateComplete.then(() => this.#box.focus());
    }
  }

  render() {
    const active = chat.value ? activeMissions(chat.value) : [];
    const asks = chat.value ? openInterrupts(chat.value).find(({ kind }) => kind === "clarification") : undefined;
    const viewer = looksOnly();
    const over = [...this.text].length > LIMIT;
    const last = chat.value?.missions.findLast(({ parent_id }) => !parent_id);
    this.agent = asks ? undefined : nextAgent(choices.value, this.picked, last?.agent);
    return html`<form class="composer" @submit=${this.#submit}>
      <label class="visually-hidden" for="message">${asks ? "Your answer" : "Your mission"}</label>
      <textarea
        id="message"
        rows="1"
        placeholder=${asks ? "Answer the question above" : active.length ? "Give another mission; it waits its turn" : "Give a mission"}
        .value=${live(this.text)}
        ?disabled=${viewer}
        aria-invalid=${over}
        aria-describedby="composer-hint"
        @input=${this.#input}
        @keydown=${this.#keydown}
      ></textarea>
      <div class="composer-bar">
        <span id="composer-hint" class="hint">${over ? html`<b class="bad">Too long: ${LIMIT.toLocaleString("en")} characters at most.</b>` : hint(viewer)}</span>
        ${this.agent ? this.#agents(viewer) : ""}
        ${active.length
          ? html`<button class="button stop" type="button" @click=${() => active.forEach(({ mission_id }) => stop(mission_id))}>${icon("stop")} Stop</button>`
          : ""}
        <button class="button primary" type="submit" ?disabled=${!this.text.trim() || over || viewer}>${icon("send")} ${asks ? "Answer" : "Send"}</button>
      </div>
    </form>`;
  }

  /** @param {boolean} viewer */
  #agents(viewer) {
    return html`<select aria-label="Agent" ?disabled=${viewer} @change=${this.#pick}>
      ${choices.value.map(({ name, description }) => html`<option value=${name} title=${description} .selected=${live(name === this.agent)}>${name}</option>`)}
    </select>`;
  }

  /** @returns {HTMLTextAreaElement} */
  get #box() {
    return /** @type {HTMLTextAreaElement} */ (this.querySelector("#message"));
  }

  updated() {
    const box = this.#box;
    if (CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }

  /** @param {Event} event */
  #pick = (event) => {
    this.picked = /** @type {HTMLSelectElement} */ (event.target).value;
    this.requestUpdate();
  };

  #input = () => {
    this.text = this.#box.value;
    writeDraft(localStorage, sessionId.value, this.text);
    this.requestUpdate();
  };

  /** Enter sends, Shift+Enter breaks the line, and Enter that ends a composition does neither. @param {KeyboardEvent} event */
  #keydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit(event);
  };

  /** @param {Event} event */
  #submit = (event) => {
    event.preventDefault();
    const text = this.text.trim();
    if (!text || [...text].length > LIMIT || looksOnly()) return;
    this.text = "";
    void send(text, sessionId.value, this.agent);
    this.requestUpdate();
  };
}

/** @param {boolean} viewer */
function hint(viewer) {
  return viewer ? "You may watch, not act." : html`<span class="only-wide"><kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> breaks the line</span>`;
}

define("ct-composer", Composer);
