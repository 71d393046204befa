/** `<ct-governance>`: the page's frame: what waits for a person, what was decided, and whether the promises hold. */

import { html } from "lit";
import { looksOnly } from "../ui/connection.js";
import { counted } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { pageBar } from "../ui/page_bar.js";
import { define, View } from "../ui/view.js";
import "../ui/ct_sign_in.js";
import "../ui/ct_toasts.js";
import "./ct_audit.js";
import "./ct_decisions.js";
import "./ct_pending.js";
import "./ct_spending.js";
import { alignmentPanel } from "./alignment_panel.js";
import { layersPanel } from "./layers_panel.js";
import { pending } from "./questions.js";
import { dashboard, loaded, questions } from "./store.js";
import { toolsPanel } from "./tools_panel.js";

class Governance extends View {
  render() {
    return html`
      <a class="skip" href="#pending" @click=${skip}>Skip to what waits for a person</a>
      ${pageBar()}
      <main class="sheet">
        <header class="sheet-head">
          <h1>Governance</h1>
          ${loaded.value ? summary() : html`<p class="hint">Loading</p>`} ${looksOnly() ? html`<p class="hint">${icon("lock")} You may look, not act.</p>` : ""}
        </header>
        <div class="sheet-main">
          <ct-pending></ct-pending>
          <ct-decisions></ct-decisions>
          <ct-audit></ct-audit>
        </div>
        <div class="sheet-side">${dashboard.value ? [alignmentPanel(dashboard.value), toolsPanel(dashboard.value), layersPanel(dashboard.value)] : ""}<ct-spending></ct-spending></div>
      </main>
      <ct-toasts></ct-toasts>
      <ct-sign-in></ct-sign-in>
      <p class="visually-hidden" role="status">${loaded.value ? waits() : ""}</p>
    `;
  }

  updated() {
    const waiting = pending(questions.value).length;
    document.title = `${waiting ? `(${waiting}) ` : ""}Governance · Control Tower`;
  }
}

function waits() {
  const count = pending(questions.value).length;
  return count ? `${counted(count, "question")} ${count === 1 ? "waits" : "wait"} for a person` : "Nothing waits for a person";
}

/** The page in a sentence each. */
function summary() {
  const { alignment = [], summary: tools = {}, unanswered = [] } = dashboard.value ?? {};
  const violated = alignment.filter((/** @type {any} */ one) => one.status === "violated").length;
  const bad = (tools.unhealthy ?? 0) + (tools.degraded ?? 0);
  return html`<ul class="sheet-summary">
    ${sign(pending(questions.value).length ? "hand" : "check", waits())}
    ${alignment.length ? sign(violated ? "cross" : "check", violated ? `${counted(violated, "promise")} broken` : "No promise is broken") : ""}
    ${dashboard.value ? sign(bad ? "hand" : "check", bad ? `${counted(bad, "tool")} ${bad === 1 ? "needs" : "need"} attention` : "No tool needs attention") : ""}
    ${unanswered.length ? sign("cross", `No answer from ${unanswered.join(", ")}: what only they know is missing`) : ""}
  </ul>`;
}

/** @param {"hand" | "check" | "cross"} mark @param {string} text */
const sign = (mark, text) => html`<li data-mark=${mark}>${icon(mark)} ${text}</li>`;

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("pending")?.focus();
}

define("ct-governance", Governance);
