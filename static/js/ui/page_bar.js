/** The bar at the top of the console and of governance. */

import { html } from "lit";
import { hello } from "./connection.js";
import { icon } from "./icons.js";
import "./ct_nav.js";
import "./ct_status.js";
import "./ct_theme.js";

/** @param {unknown} [more] what a page has of its own, at the right */
export function pageBar(more = "") {
  const { user_id = "", role = "" } = hello.value ?? {};
  return html`<header class="topbar">
    <div class="brand">${icon("tower")}<span>Control Tower</span></div>
    <ct-nav></ct-nav>
    <ct-status></ct-status>
    ${user_id ? html`<span class="who" title="${user_id}, ${role}">${user_id}${role && role !== user_id ? ` · ${role}` : ""}</span>` : ""} ${more}
    <ct-theme></ct-theme>
  </header>`;
}
