/** `<ct-feed>`: everything as it happens, newest first. It stands still while it is read further down, and says how much came meanwhile. */

import { html } from "lit";
import { clockSeconds } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import "../ui/ct_rows.js";
import { define, View } from "../ui/view.js";
import { eventLine } from "./event_line.js";
import { kindOf } from "./feed.js";
import { cursor } from "./selection.js";
import { feed, feedRevision, showFeed } from "./store.js";

/** @typedef {import("../client.js").TowerEvent} TowerEvent */

const KINDS = Object.freeze(["mission", "step", "interrupt", "quota", "message", "session", "breaker", "node"]);

class LiveFeed extends View {
  constructor() {
    super();
    /** Whether the person held it, not just their reading further down. */
    this.paused = false;
    /** What was drawn last, newest first. @type {{lines: readonly TowerEvent[], shown: TowerEvent[]} | null} */ this.drawn = null;
  }

  render() {
    void feedRevision.value;
    const { fresh, isHeld, filter } = feed;
    return html`<section class="panel feed" aria-label="Live feed">
      <div class="bar">
        <h2 class="panel-title">Live feed</h2>
        <button class="button small" type="button" aria-pressed=${isHeld} @click=${this.#toggle}>${icon(isHeld ? "play" : "pause")} ${isHeld ? "Go on" : "Pause"}</button>
        <div class="chips" role="group" aria-label="Kinds of events">
          ${KINDS.map((kind) => html`<button class="filter" type="button" aria-pressed=${filter.kinds.has(kind)} @click=${() => this.#pick(kind)}>${kind}</button>`)}
        </div>
        <input class="feed-text" type="search" aria-label="Filter the feed" placeholder="Filter" .value=${filter.text} @input=${this.#typed} />
      </div>
      <div class="feed-frame">
        <ct-rows tabindex="0" role="log" aria-live="off" aria-label="Events, newest first" .items=${this.#newestFirst()} .key=${keyOf} .row=${line} @scrolled=${this.#scrolled}></ct-rows>
        ${isHeld && fresh ? html`<button class="button fresh" type="button" @click=${this.#goOn}>${icon("down", "up")} ${fresh.toLocaleString("en")} new</button>` : ""}
        ${feed.lines.length ? "" : html`<p class="hint pad">${feed.total ? "No event fits the filter." : "What happens from now on appears here."}</p>`}
      </div>
    </section>`;
  }

  #newestFirst() {
    const { lines } = feed;
    if (this.drawn?.lines !== lines) this.drawn = { lines, shown: lines.toReversed() };
    return this.drawn.shown;
  }

  /** @param {boolean} held */
  #hold(held) {
    feed.hold(held);
    showFeed();
  }

  #toggle = () => {
    this.paused = !feed.isHeld;
    this.#hold(this.paused);
    if (!this.paused) this.#toTop();
  };

  #goOn = () => {
    this.paused = false;
    this.#hold(false);
    this.#toTop();
  };

  #toTop() {
    const rows = /** @type {HTMLElement} */ (this.querySelector("ct-rows"));
    rows.scrollTop = 0;
  }

  /** @param {CustomEvent<{atTop: boolean}>} event */
  #scrolled = ({ detail: { atTop } }) => {
    if (!this.paused && atTop === feed.isHeld) this.#hold(!atTop);
  };

  /** @param {string} kind */
  #pick(kind) {
    const kinds = new Set(feed.filter.kinds);
    if (!kinds.delete(kind)) kinds.add(kind);
    feed.show({ ...feed.filter, kinds });
    showFeed();
  }

  /** @param {Event} event */
  #typed = ({ target }) => {
    feed.show({ ...feed.filter, text: /** @type {HTMLInputElement} */ (target).value });
    showFeed();
  };
}

/** @param {TowerEvent} event */
const keyOf = (event) => event.offset ?? event;

/** @param {TowerEvent} event */
function line(event) {
  const { at, type, user_id, mission_id } = event;
  const point = () => mission_id && (cursor.value = mission_id);
  return html`<div class="event" data-kind=${kindOf(event)} data-tone=${tone(type)} @click=${point}>
    <time datetime=${at}>${clockSeconds(at)}</time><span class="type">${type}</span><span class="user">${user_id ?? ""}</span><span class="said">${eventLine(event)}</span>
  </div>`;
}

/** @param {string} type */
function tone(type) {
  if (/failed|exceeded|timed_out|breaker\.opened|expired/.test(type)) return "bad";
  return /raised|warned|waiting|cancelled|paused/.test(type) ? "warn" : "calm";
}

define("ct-feed", LiveFeed);
