/** `<ct-sidebar>`: sessions by date, found by their words, with those that wait for an answer marked. */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { signal } from "@preact/signals-core";
import { now } from "../ui/connection.js";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import { search } from "./search.js";
import { go, listSessions, model, moreSessions, sessionId } from "./store.js";
import { drawerOpen } from "./ui_state.js";
import { sessionsByDate } from "./timeline.js";
import "../ui/ct_nav.js";
import "../ui/ct_theme.js";

/** @typedef {import("./model.js").Session} Session */
/** @typedef {import("./search.js").Hit} Hit */
/** @typedef {{sessions: Readonly<Record<string, Session>>, day: number, archived: boolean, groups: ReturnType<typeof sessionsByDate>}} Grouped */

const DAY_MS = 86_400_000;
const TYPING_MS = 200;
const showArchived = signal(false);

class Sidebar extends View {
  constructor() {
    super();
    this.query = "";
    /** @type {Hit[] | null} */ this.hits = null;
    this.timer = 0;
    /** The groups drawn last, and what they were made of. @type {Grouped | null} */ this.grouped = null;
  }

  render() {
    return html`
      <div class="brand">${icon("tower")}<span>Control Tower</span><ct-theme></ct-theme></div>
      <button class="button new" type="button" @click=${startNew}>${icon("plus")} New mission</button>
      <search class="search">
        <label class="visually-hidden" for="search">Search messages</label>
        ${icon("search")}
        <input id="search" type="search" maxlength="500" placeholder="Search" .value=${this.query} @input=${this.#typed} />
      </search>
      <nav class="sessions" aria-label="Sessions" @keydown=${rove} @click=${leaveDrawer}>${this.hits ? this.#found(this.hits) : this.#listed()}</nav>
      <ct-nav></ct-nav>
    `;
  }

  #listed() {
    const waiting = new Set(Object.values(model.value.waiting));
    const day = Math.floor(now.value / DAY_MS) * DAY_MS;
    const groups = this.#groups(model.value.sessions, day, showArchived.value);
    const archived = Object.values(model.value.sessions).some(({ archived_at, deleted_at }) => archived_at && !deleted_at);
    const first = groups[0]?.sessions[0];
    const stop = groups.some(({ sessions }) => sessions.some(isCurrent)) ? null : first;
    return html`
      ${groups.length ? "" : html`<p class="hint pad">${showArchived.value ? "Nothing is archived." : "What you start appears here."}</p>`}
      ${groups.map(
        ({ label, sessions }) => html`<h2 class="group">${label}</h2>
          <ul>
            ${repeat(sessions, (one) => one.session_id, (one) => sessionRow(one, waiting.has(one.session_id), one === stop))}
          </ul>`,
      )}
      ${moreSessions.value ? html`<button class="button ghost wide" type="button" @click=${showMore}>Show older</button>` : ""}
      ${archived || showArchived.value
        ? html`<button class="button ghost wide" type="button" aria-pressed=${showArchived.value} @click=${() => (showArchived.value = !showArchived.value)}>
            ${icon("archive")} ${showArchived.value ? "Back to all" : "Archived"}
          </button>`
        : ""}
    `;
  }

  /** @param {Readonly<Record<string, Session>>} sessions @param {number} day @param {boolean} archived @returns {Grouped["groups"]} */
  #groups(sessions, day, archived) {
    if (this.grouped?.sessions === sessions && this.grouped.day === day && this.grouped.archived === archived) return this.grouped.groups;
    const groups = sessionsByDate(Object.values(sessions), Date.now(), (one) => !one.deleted_at && Boolean(one.archived_at) === archived);
    this.grouped = { sessions, day, archived, groups };
    return groups;
  }

  /** @param {Hit[]} hits */
  #found(hits) {
    if (!hits.length) return html`<p class="hint pad" role="status">Nothing found.</p>`;
    return html`<h2 class="group">Found</h2>
      <ul>
        ${hits.map(
          ({ message_id, session_id, session_title, snippet }) => html`<li>
            <a class="session" href="#/s/${session_id}/${message_id}"><span class="session-title">${session_title || "Mission"}</span><span class="snippet">${snippet.map((part) => (part.hit ? html`<mark>${part.text}</mark>` : part.text))}</span></a>
          </li>`,
        )}
      </ul>`;
  }

  #typed = () => {
    this.query = /** @type {HTMLInputElement} */ (this.querySelector("#search")).value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.#search(this.query.trim()), TYPING_MS);
  };

  /** @param {string} query */
  async #search(query) {
    const hits = query ? await search(query) : null;
    if (query !== this.query.trim()) return;
    this.hits = hits;
    this.requestUpdate();
  }
}

/** @param {Session} one */
const isCurrent = ({ session_id }) => session_id === sessionId.value;

/** @param {Session} one @param {boolean} waits @param {boolean} stop whether Tab stops here although it is not the open one */
function sessionRow({ session_id, title }, waits, stop) {
  const current = session_id === sessionId.value;
  return html`<li>
    <a class="session" href="#/s/${session_id}" aria-current=${current ? "page" : "false"} tabindex=${current || stop ? 0 : -1}>
      <span class="session-title">${title || "Mission"}</span>
      ${waits ? html`<span class="waits">${icon("hand")}<span class="visually-hidden">waits for you</span></span>` : ""}
    </a>
  </li>`;
}

function startNew() {
  go(null);
  drawerOpen.value = false;
  document.getElementById("message")?.focus();
}

function showMore() {
  void listSessions(Object.keys(model.value.sessions).length);
}

/** @param {MouseEvent} event */
function leaveDrawer(event) {
  if (/** @type {HTMLElement} */ (event.target).closest("a")) drawerOpen.value = false;
}

/** Up and down move through the list, which is one stop for Tab. @param {KeyboardEvent} event */
function rove(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const rows = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("a")];
  const at = rows.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
  rows[Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}

define("ct-sidebar", Sidebar);
