/** `<ct-processes>`: the process table with its filters, and what can be done to what is chosen. */

import { html } from "lit";
import { looksOnly, now } from "../ui/connection.js";
import { duration } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import "../ui/ct_rows.js";
import { shareBar } from "../ui/share.js";
import { define, View } from "../ui/view.js";
import { commandBar } from "./command_bar.js";
import { nearest, STATES } from "./row.js";
import { cursor, cursorIndex, moveTo, tag, tagged } from "./selection.js";
import { stateMark, stateWord } from "./state_mark.js";
import { cut } from "./samples.js";
import { arrangement, LISTED_OF_A_STATE, lines, loaded, processes, rearrange, status, tableRevision } from "./store.js";

/** @typedef {import("./arrange.js").Line} Line */
/** @typedef {import("./arrange.js").Column} Column */

/** @type {readonly {column: Column, name: string}[]} */
const COLUMNS = Object.freeze([
  { column: "state", name: "State" },
  { column: "priority", name: "Priority" },
  { column: "user", name: "User" },
  { column: "agent", name: "Agent" },
  { column: "step", name: "Step" },
  { column: "quota", name: "Quota" },
  { column: "age", name: "Age" },
  { column: "mission", name: "Mission" },
]);

class ProcessTable extends View {
  render() {
    const shown = lines.value;
    const version = `${tableRevision.value} ${cursor.value} ${tagged.value.size} ${Math.floor(now.value / 1_000)} ${arrangement.value.tree}`;
    const at = cursorIndex();
    return html`<section class="panel processes" aria-label="Processes">
      ${filterBar()} ${looksOnly() ? "" : commandBar()} ${cutNote()}
      <div
        id="processes"
        class="grid"
        role="grid"
        tabindex="0"
        aria-label="Processes"
        aria-multiselectable="true"
        aria-rowcount=${shown.length + 1}
        aria-colcount=${COLUMNS.length}
        aria-activedescendant=${at < 0 ? "" : `row-${cursor.value}`}
        @focus=${startAtTop}
      >
        <div class="line head" role="row" aria-rowindex="1">${COLUMNS.map(heading)}</div>
        <ct-rows role="rowgroup" .items=${shown} .key=${keyOf} .row=${row} .version=${version}></ct-rows>
        ${shown.length ? "" : html`<p class="hint pad" role="row"><span role="gridcell">${nothing()}</span></p>`}
      </div>
    </section>`;
  }

  /** The cursor stays in sight as it moves; what changes around it does not scroll the table. */
  updated() {
    const at = cursorIndex();
    const moved = cursor.value !== this.followed;
    this.followed = cursor.value;
    if (moved && at >= 0) /** @type {import("../ui/ct_rows.js").Rows} */ (this.querySelector("ct-rows")).reveal(at);
  }
}

function startAtTop() {
  if (cursorIndex() < 0) moveTo(0);
}

function nothing() {
  if (!loaded.value) return "Loading";
  return processes.rows.size ? "No process fits the filter." : "Nothing has run yet.";
}

/** What of the active ones is not in the table, nor found by its search. */
function cutNote() {
  void tableRevision.value;
  const { terminated, ...active } = status.value?.processes ?? {};
  const states = cut({ processes: active }, processes.counts(), LISTED_OF_A_STATE);
  if (!states.length) return "";
  const told = states.map(({ state, listed, all }) => `${listed.toLocaleString("en")} of ${all.toLocaleString("en")} ${stateWord(state)}`);
  return html`<p class="hint">Listed and searched are the newest only: ${told.join(", ")}.</p>`;
}

function filterBar() {
  const { states, text, tree } = arrangement.value;
  void tableRevision.value;
  const counts = processes.counts();
  const active = status.value?.processes ?? {};
  return html`<div class="bar">
    <search class="search"
      ><label class="visually-hidden" for="search">Search processes</label>${icon("search")}<input
        id="search"
        type="search"
        placeholder="Search"
        .value=${text}
        @input=${typed}
        @keydown=${leaveSearch}
    /></search>
    <div class="chips" role="group" aria-label="States">
      ${STATES.map(
        (state) => html`<button class="filter" type="button" data-state=${state} aria-pressed=${states.has(state)} @click=${() => toggle(state)}>
          ${stateWord(state)} <span class="count">${(state === "terminated" ? counts[state] : Math.max(counts[state] ?? 0, active[state] ?? 0)) ?? 0}</span>
        </button>`,
      )}
    </div>
    <button class="filter" type="button" aria-pressed=${tree} @click=${() => rearrange({ tree: !tree })}>${icon("tree")} Tree</button>
  </div>`;
}

/** @param {Event} event */
function typed({ target }) {
  rearrange({ text: /** @type {HTMLInputElement} */ (target).value });
}

/** @param {KeyboardEvent} event */
function leaveSearch(event) {
  if (event.key !== "Enter" && event.key !== "Escape") return;
  if (event.key === "Escape") rearrange({ text: "" });
  event.preventDefault();
  document.getElementById("processes")?.focus();
}

/** @param {string} state */
function toggle(state) {
  const states = new Set(arrangement.value.states);
  if (!states.delete(state)) states.add(state);
  rearrange({ states });
}

/** @param {{column: Column, name: string}} heading */
function heading({ column, name }) {
  const sorts = arrangement.value.column === column;
  const falling = sorts && arrangement.value.falling;
  const sort = () => rearrange({ column, falling: sorts ? !falling : column === "quota" || column === "step" });
  return html`<span class="cell ${column}" role="columnheader" aria-sort=${sorts ? (falling ? "descending" : "ascending") : "none"}
    ><button type="button" tabindex="-1" @click=${sort}>${name}${sorts ? icon("down", falling ? "" : "up") : ""}</button></span
  >`;
}

/** @param {Line} line */
const keyOf = ({ row: { mission_id } }) => mission_id;

/** @param {Line} line @param {number} index */
function row({ row: process, depth }, index) {
  const { mission_id, state, outcome, priority, user_id, agent, step, call, mission, cause } = process;
  const isTagged = tagged.value.has(mission_id);
  const point = (/** @type {MouseEvent} */ event) => {
    cursor.value = mission_id;
    if (event.ctrlKey || event.metaKey) tag(mission_id);
  };
  return html`<div
    class="line"
    role="row"
    id="row-${mission_id}"
    aria-rowindex=${index + 2}
    aria-selected=${isTagged}
    data-cursor=${mission_id === cursor.value}
    @click=${point}
  >
    <span class="cell state" role="gridcell">${isTagged ? icon("check", "tag") : ""}${stateMark(state, outcome)}</span>
    <span class="cell priority" role="gridcell" data-priority=${priority}>${priority}</span>
    <span class="cell user" role="gridcell">${user_id}</span>
    <span class="cell agent" role="gridcell">${agent}</span>
    <span class="cell step" role="gridcell">${step ?? ""} <span class="callee">${state === "running" ? call : ""}</span></span>
    <span class="cell quota" role="gridcell">${limitBar(process)}</span>
    <span class="cell age" role="gridcell">${age(process)}</span>
    <span class="cell mission" role="gridcell" title=${cause ? `${mission} (${cause.replaceAll("_", " ")})` : mission}>${depth ? html`<span class="twig" aria-hidden="true">${"  ".repeat(depth - 1)}└ </span>` : ""}${mission}</span>
  </div>`;
}

/** The limit that a process is nearest to. @param {import("./row.js").Row} process */
function limitBar(process) {
  const first = nearest(process);
  if (!first) return "";
  const { share, resource, used, limit } = first;
  return html`${shareBar(share, `${resource.replaceAll("_", " ")}: ${used} of ${limit}`)}<span class="percent">${Math.round(share * 100)} %</span>`;
}

/** @param {import("./row.js").Row} process */
function age({ since, ended }) {
  return duration(Math.max(0, (ended ?? Math.max(now.value, since)) - since)).replace(/ \d+ s$/, "");
}

define("ct-processes", ProcessTable);
