/** `<ct-mission-panel>`: the chosen mission: why it is where it is, what it may still use, and its open questions. */

import { html } from "lit";
import { looksOnly } from "../ui/connection.js";
import { brief, dayAndTime, duration } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { define, View } from "../ui/view.js";
import "../ui/ct_interrupt.js";
import { look, shown } from "./chosen.js";
import { quotaPanel } from "./quota_panel.js";
import { cursor, moveTo } from "./selection.js";
import { stateMark } from "./state_mark.js";
import { lines, processes, rearrange, tableRevision } from "./store.js";
import { STATES } from "./row.js";
import { end, holders, why } from "./why.js";

class MissionPanel extends View {
  static properties = { missionId: { attribute: false } };

  constructor() {
    super();
    /** @type {string | null} */ this.missionId = null;
  }

  render() {
    const id = this.missionId;
    void tableRevision.value;
    const row = id ? processes.rows.get(id) : undefined;
    if (!id) return html`<p class="hint">Choose a mission in the table to see why it waits and what it may still use.</p>`;
    if (!row) return html`<p class="hint">This mission is no longer in the table.</p>`;
    const known = shown.value?.id === id ? shown.value : null;
    return html`<article class="detail" aria-label="Mission">
      <p class="detail-text">${row.mission}</p>
      <p class="row">${stateMark(row.state, row.outcome)}<span class="chip">${row.priority}</span><span class="facts">${row.agent} for ${row.user_id}</span></p>
      ${known ? whyPanel(known) : html`<p class="hint">Loading</p>`}
      ${known ? known.questions.map((one) => html`<ct-interrupt .interrupt=${one}></ct-interrupt>`) : ""}
      ${known ? quotaPanel(known.block) : ""} ${known ? facts(known.block) : ""}
    </article>`;
  }

  updated() {
    look(this.missionId, this.missionId ? processes.rows.get(this.missionId) : undefined);
  }
}

/** @param {import("./chosen.js").Shown} known */
function whyPanel({ explained, block }) {
  const behind = holders(explained);
  return html`<section class="why" aria-label="Why">
    <h3 class="label">${block.state === "terminated" ? "What became of it" : "Why it is there"}</h3>
    <p>${block.state === "terminated" ? end(block) : why(explained)}</p>
    ${explained.position ? html`<p>It is <b>number ${explained.position}</b> in the queue.</p>` : ""}
    ${explained.eta_s === undefined ? "" : html`<p>It goes on in ${duration(explained.eta_s * 1_000)}.</p>`}
    ${behind.length
      ? html`<ul class="behind" aria-label="It waits for">
          ${behind.map((id) => html`<li><button class="link" type="button" @click=${() => goTo(id)}>${processes.rows.get(id)?.mission ?? id}</button></li>`)}
        </ul>`
      : ""}
    ${block.outcome === "completed" ? html`<p class="facts">${brief(block.result, 300)}</p>` : ""}
  </section>`;
}

/** Brings a mission under the cursor, shown although the filter would hide it. @param {string} id */
function goTo(id) {
  if (!lines.value.some(({ row }) => row.mission_id === id)) rearrange({ states: new Set(STATES), text: "" });
  cursor.value = id;
  moveTo(lines.value.findIndex(({ row }) => row.mission_id === id));
}

/** @param {Record<string, any>} block */
function facts(block) {
  const rows = [
    ["Mission", html`<code>${block.mission_id}</code>`],
    ["Session", html`<a href="/#/s/${block.session_id}/${block.mission_id}">open in the chat</a>`],
    ["Submitted", dayAndTime(block.created_at)],
    ["Attempt", block.attempt > 1 ? String(block.attempt) : ""],
    ["Node", block.node ?? ""],
    ["Deadline", block.deadline_at ? dayAndTime(block.deadline_at) : ""],
    ["Parent", block.parent_pid ? html`<button class="link" type="button" @click=${() => goTo(block.parent_pid)}>${processes.rows.get(block.parent_pid)?.mission ?? block.parent_pid}</button>` : ""],
    ["Children", block.children.length ? String(block.children.length) : ""],
  ].filter(([, value]) => value !== "");
  return html`<dl class="facts-list">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    ${looksOnly() ? html`<p class="hint">${icon("lock")} You may look, not act.</p>` : ""}`;
}

define("ct-mission-panel", MissionPanel);
