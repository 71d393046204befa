/** `<ct-session-menu>`: the open session's name and what can be done with it. */

import { html } from "lit";
import { icon } from "../ui/icons.js";
import { toast } from "../ui/toast.js";
import { define, View } from "../ui/view.js";
import { archive, exportSession, remove, rename } from "./actions.js";
import { chat, session, sessionId } from "./store.js";

class SessionMenu extends View {
  constructor() {
    super();
    this.renaming = false;
  }

  willUpdate() {
    if (this.renamed !== sessionId.value) this.renaming = false;
  }

  render() {
    const open = session.value;
    if (!sessionId.value || chat.value?.state === "missing") return html`<p class="title muted">New mission</p>`;
    if (this.renaming && open) return this.#field(open.title ?? "");
    return html`<h1 class="title" title=${open?.title ?? ""}>${open?.title || "Mission"}</h1>
      ${open ? this.#menu(open) : ""}`;
  }

  /** @param {string} title */
  #field(title) {
    return html`<form class="rename" @submit=${this.#rename}>
      <label class="visually-hidden" for="title">Name</label>
      <input id="title" maxlength="500" .value=${title} @keydown=${this.#escape} @blur=${this.#rename} />
    </form>`;
  }

  /** @param {import("./model.js").Session} open */
  #menu({ session_id, archived_at }) {
    const items = /** @type {const} */ ([
      ["edit", "Rename", this.#startRenaming],
      ["link", "Copy link", copyLink],
      ["archive", archived_at ? "Unarchive" : "Archive", () => archive(session_id, !archived_at)],
      ["export", "Export as Markdown", () => exportSession(session_id, "md")],
      ["export", "Export as JSON", () => exportSession(session_id, "json")],
      ["trash", "Delete", () => remove(session_id)],
    ]);
    return html`<button class="button ghost square" type="button" aria-label="What to do with this session" aria-haspopup="menu" popovertarget="session-menu">
        ${icon("more")}
      </button>
      <div id="session-menu" class="menu" role="menu" popover @beforetoggle=${this.#place} @toggle=${focusFirst} @keydown=${rove}>
        ${items.map(([name, label, run]) => html`<button role="menuitem" tabindex="-1" type="button" @click=${() => this.#run(run)}>${icon(name)} ${label}</button>`)}
      </div>`;
  }

  /** @param {() => unknown} run */
  #run(run) {
    /** @type {HTMLElement} */ (this.querySelector("#session-menu")).hidePopover();
    run();
  }

  /** Puts the menu under its button; popovers stand in the top layer, outside of the flow. */
  #place = () => {
    const menu = /** @type {HTMLElement} */ (this.querySelector("#session-menu"));
    const { left, bottom } = /** @type {HTMLElement} */ (this.querySelector("[popovertarget]")).getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(left, innerWidth - 220))}px`;
    menu.style.top = `${bottom + 4}px`;
  };

  #startRenaming = async () => {
    this.renaming = true;
    this.renamed = sessionId.value;
    this.requestUpdate();
    await this.updateComplete;
    /** @type {HTMLInputElement | null} */ (this.querySelector("#title"))?.select();
  };

  /** @param {Event} event */
  #rename = (event) => {
    event.preventDefault();
    const title = /** @type {HTMLInputElement} */ (this.querySelector("#title")).value.trim();
    const open = session.value;
    if (this.renaming && open && title && title !== open.title) void rename(open.session_id, title);
    this.renaming = false;
    this.requestUpdate();
  };

  /** @param {KeyboardEvent} event */
  #escape = (event) => {
    if (event.key !== "Escape") return;
    this.renaming = false;
    this.requestUpdate();
  };
}

function copyLink() {
  navigator.clipboard.writeText(location.href).then(
    () => toast("Link copied.", "info"),
    () => toast("The browser did not allow copying; the link is in the address bar."),
  );
}

/** @param {ToggleEvent} event */
function focusFirst(event) {
  if (event.newState === "open") /** @type {HTMLElement} */ (event.target).querySelector("button")?.focus();
}

/** @param {KeyboardEvent} event */
function rove(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")];
  const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  items[(at + step + items.length) % items.length].focus();
}

define("ct-session-menu", SessionMenu);
