/** `<ct-transcript>`: a session from its first message to what happens now. */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { icon, spinner } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import "../ui/markdown.js";
import { outbox, resend, takeBack } from "./actions.js";
import "./ct_mission.js";
import { clockTime } from "../ui/format.js";
import { outgoingMessage } from "./outgoing.js";
import { chat, placeId, sessionId } from "./store.js";
import { activeMissions, keyOf, timeline } from "./timeline.js";

/** How near to its end a transcript still counts as being read at its end. */
const NEAR_PX = 80;

class Transcript extends View {
  constructor() {
    super();
    this.atEnd = true;
    this.active = 0;
    /** @type {string | null} */ this.shown = null;
    /** @type {string | null} */ this.place = null;
    /** The place that was gone to last, so that reading on is not disturbed. @type {string | null} */ this.reached = null;
  }

  willUpdate() {
    if (this.shown === sessionId.value) return;
    this.shown = sessionId.value;
    this.atEnd = true;
  }

  render() {
    const shown = chat.value;
    const entries = shown ? timeline(shown) : [];
    this.place = shown && placeId.value ? keyOf(shown, placeId.value) : null;
    this.active = shown ? activeMissions(shown).length : 0;
    const known = new Set(shown?.messages.map(({ message_id }) => message_id));
    const mine = outbox.value.filter((one) => one.session_id === sessionId.value && !known.has(one.message_id ?? ""));
    return html`
      <div class="scroller" tabindex="0" role="log" aria-live="off" aria-label="Transcript" aria-busy=${shown?.state === "loading"} @scroll=${this.#scrolled}>
        <div class="column">
          ${shown?.state === "loading" && !entries.length ? html`<p class="loading">${spinner()} Loading</p>` : ""}
          ${repeat(entries, ({ key }) => key, (entry) => this.#entry(entry))}
          ${mine.map((one) => outgoingMessage(one, resend, takeBack))}
        </div>
      </div>
      ${this.atEnd ? "" : html`<button class="button latest" type="button" @click=${this.#toEnd}>${icon("down")} Latest</button>`}
    `;
  }

  /** @param {import("./timeline.js").Entry} entry */
  #entry(entry) {
    const here = entry.key === this.place;
    return "message" in entry ? messageBlock(entry.message, here) : this.#mission(entry.mission, here);
  }

  /** @param {import("./model.js").Mission} mission @param {boolean} here */
  #mission(mission, here) {
    return html`<ct-mission aria-current=${here} .mission=${mission} .missions=${chat.value?.missions ?? []} .crowded=${this.active > 1}></ct-mission>`;
  }

  firstUpdated() {
    const column = this.querySelector(".column");
    this.resized = new ResizeObserver(() => this.atEnd && this.#scrollToEnd());
    if (column) this.resized.observe(column);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.resized?.disconnect();
  }

  updated() {
    this.#toPlace();
    if (this.atEnd) this.#scrollToEnd();
  }

  /** @returns {HTMLElement} */
  get #scroller() {
    return /** @type {HTMLElement} */ (this.querySelector(".scroller"));
  }

  /** Goes to where the address leads, once it is there. */
  #toPlace() {
    if (!placeId.value) this.reached = null;
    if (!this.place || this.reached === placeId.value || chat.value?.state === "loading") return;
    this.reached = placeId.value;
    this.atEnd = false;
    this.requestUpdate();
    this.querySelector("[aria-current=true]")?.scrollIntoView({ block: "start" });
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (atEnd === this.atEnd) return;
    this.atEnd = atEnd;
    this.requestUpdate();
  };

  #toEnd = () => {
    this.atEnd = true;
    this.#scrollToEnd();
    this.#scroller.focus({ preventScroll: true });
    this.requestUpdate();
  };
}

/** @param {import("./model.js").Message} message @param {boolean} here whether the address leads to it */
function messageBlock({ role, content, created_at, edited_at }, here) {
  const time = html`<time class="visually-hidden" datetime=${created_at}>${clockTime(created_at)}</time>`;
  if (role === "assistant") return html`<article class="message assistant" aria-current=${here} aria-label="Answer">${time}<ct-markdown class="prose" .text=${content}></ct-markdown></article>`;
  return html`<article class="message user" aria-current=${here} aria-label="Your message">
    ${time}
    <p class="bubble">${content}</p>
    ${edited_at ? html`<p class="message-note">edited</p>` : ""}
  </article>`;
}

define("ct-transcript", Transcript);
