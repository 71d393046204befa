/** `<ct-pending>`: what waits for a person, longest first; opened, it can be answered here. */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { now } from "../ui/connection.js";
import { countdown, duration } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import "../ui/ct_interrupt.js";
import { pending } from "./questions.js";
import { missionLink } from "./mission_link.js";
import { loaded, questions } from "./store.js";

/** @typedef {import("./questions.js").Question} Question */

/** Rows that are drawn; the rest follows when these are answered. */
const SHOWN = 100;

class Pending extends View {
  constructor() {
    super();
    /** What is open. @type {Map<string, boolean>} */ this.opened = new Map();
  }

  /** The first that is ever shown is open; later none opens by itself, which would move what somebody is about to press. */
  willUpdate() {
    const [first] = pending(questions.value);
    if (first && !this.opened.size) this.opened.set(first.interrupt_id, true);
  }

  render() {
    const open = pending(questions.value);
    return html`<section class="block" aria-labelledby="pending">
      <h2 id="pending" tabindex="-1">Waiting for a person <span class="count">${open.length.toLocaleString("en")}</span></h2>
      ${open.length ? "" : html`<p class="hint">${loaded.value ? "Nothing. What an agent must ask about appears here." : "Loading"}</p>`}
      <ul class="asked-list">
        ${repeat(open.slice(0, SHOWN), ({ interrupt_id }) => interrupt_id, (one) => this.#row(one))}
      </ul>
      ${open.length > SHOWN ? html`<p class="hint">and ${(open.length - SHOWN).toLocaleString("en")} more</p>` : ""}
    </section>`;
  }

  /** @param {Question} one */
  #row(one) {
    const { interrupt_id, message, user_id, raised_at, expires_at, kind, tool, risk } = one;
    const isOpen = this.opened.get(interrupt_id) ?? false;
    const left = expires_at ? Date.parse(expires_at) - Math.max(now.value, Date.now()) : null;
    return html`<li>
      <details class="asked" ?open=${isOpen} @toggle=${(/** @type {Event} */ event) => this.#toggled(interrupt_id, event)}>
        <summary>
          ${icon("chevron", "turns")}${icon(kind === "clarification" ? "question" : "hand", "asked-mark")}
          <span class="asked-what">${tool ? html`<code>${tool}</code> ` : ""}${message}</span>
          ${risk ? html`<span class="chip risk" data-risk=${risk}>${risk}</span>` : ""}
          <span class="facts">${user_id ?? ""}</span>
          <span class="facts asked-age" title="How long it waits">${age(raised_at)}</span>
          <span class="facts asked-left" title="What is left to answer">${left === null ? "no limit" : `${countdown(left)} left`}</span>
        </summary>
        ${isOpen ? html`<div class="asked-inside"><p class="facts">For ${user_id ?? "nobody"}, in ${missionLink(one)}</p><ct-interrupt .interrupt=${one}></ct-interrupt></div>` : ""}
      </details>
    </li>`;
  }

  /** @param {string} id @param {Event} event */
  #toggled(id, { target }) {
    const { open } = /** @type {HTMLDetailsElement} */ (target);
    this.opened.set(id, open);
    this.requestUpdate();
  }
}

/** @param {string} at */
function age(at) {
  return duration(Math.max(1_000, Math.max(now.value, Date.now()) - Date.parse(at))).replace(/ \d+ s$/, "");
}

define("ct-pending", Pending);
