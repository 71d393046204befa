/** `<ct-app>`: the page's frame. Which parts there are; what they show is theirs. */

import { html } from "lit";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import { announcement, chat, sessionId } from "./store.js";
import "./ct_composer.js";
import "./ct_empty.js";
import "./ct_session_menu.js";
import "./ct_sidebar.js";
import "../ui/ct_sign_in.js";
import "../ui/ct_status.js";
import "../ui/ct_toasts.js";
import "./ct_transcript.js";
import { drawerOpen } from "./ui_state.js";

class App extends View {
  connectedCallback() {
    super.connectedCallback();
    this.addEventListener("keydown", closeOnEscape);
  }

  render() {
    const open = drawerOpen.value;
    return html`
      <a class="skip" href="#message" @click=${skip}>Skip to the message box</a>
      <ct-sidebar class="sidebar ${open ? "open" : ""}"></ct-sidebar>
      ${open ? html`<button class="scrim" type="button" aria-label="Close the list of missions" @click=${close}></button>` : ""}
      <main class="main">
        <header class="topbar">
          <button class="button ghost square only-narrow" type="button" aria-label="List of missions" aria-expanded=${open} @click=${show}>
            ${icon("menu")}
          </button>
          <ct-session-menu></ct-session-menu>
          <ct-status></ct-status>
        </header>
        ${this.#body()}
        <ct-composer></ct-composer>
      </main>
      <ct-toasts></ct-toasts>
      <ct-sign-in></ct-sign-in>
      <p class="visually-hidden" role="status">${announcement.value}</p>
    `;
  }

  #body() {
    const missing = chat.value?.state === "missing";
    if (sessionId.value && !missing) return html`<ct-transcript></ct-transcript>`;
    return html`<ct-empty .missing=${missing}></ct-empty>`;
  }
}

/** The list slides in; it can take the focus once it is visible. */
function show() {
  drawerOpen.value = true;
  requestAnimationFrame(() => requestAnimationFrame(() => focus(".sidebar .new")));
}

function close() {
  drawerOpen.value = false;
  focus(".topbar .only-narrow");
}

/** @param {string} selector */
function focus(selector) {
  /** @type {HTMLElement | null} */ (document.querySelector(selector))?.focus();
}

/** @param {KeyboardEvent} event */
function closeOnEscape(event) {
  if (event.key === "Escape" && drawerOpen.value) close();
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("message")?.focus();
}

define("ct-app", App);
