/** `<ct-console>`: the console's frame: vitals, processes, what is known of the chosen one, and the feed. */

import { html } from "lit";
import { pageBar } from "../ui/page_bar.js";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import "../ui/ct_sign_in.js";
import "../ui/ct_toasts.js";
import { announcement } from "./announcement.js";
import "./ct_aside.js";
import "./ct_bulk.js";
import "./ct_feed.js";
import "./ct_keys.js";
import "./ct_processes.js";
import "./ct_vitals.js";
import { onKey } from "./keys.js";
import { seesAll } from "./store.js";

class Console extends View {
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener("keydown", onKey);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener("keydown", onKey);
  }

  render() {
    return html`
      <a class="skip" href="#processes" @click=${skip}>Skip to the processes</a>
      ${pageBar()} ${seesAll.value === false ? notForYou() : board()}
      <ct-bulk></ct-bulk>
      <ct-keys></ct-keys>
      <ct-toasts></ct-toasts>
      <ct-sign-in></ct-sign-in>
      <p class="visually-hidden" role="status">${announcement.value}</p>
    `;
  }
}

function board() {
  return html`<main class="board">
    <h1 class="visually-hidden">Operator console</h1>
    <ct-vitals></ct-vitals>
    <ct-processes></ct-processes>
    <ct-feed></ct-feed>
    <ct-aside></ct-aside>
  </main>`;
}

function notForYou() {
  return html`<main class="notice">
    <h1>The console is for operators</h1>
    <p>${icon("lock")} You signed in as a user: your own missions are in the <a href="/">chat</a>, and what was decided about them under <a href="/governance">governance</a>.</p>
  </main>`;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("processes")?.focus();
}

define("ct-console", Console);
