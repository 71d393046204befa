/** `<ct-decisions>`: who decided what, and when, refusals among them; to be taken along as a file. */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { brief, dayAndTime, duration } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { save } from "../ui/save.js";
import { define, View } from "../ui/view.js";
import { asCsv } from "./csv.js";
import { decisions, kindOf } from "./questions.js";
import { missionLink } from "./mission_link.js";
import { loadDecisions, loaded, older, questions } from "./store.js";

/** @typedef {import("./questions.js").Question} Question */
/** @typedef {import("./questions.js").Kind} Kind */

/** @type {readonly {kind: Kind, name: string}[]} */
const KINDS = Object.freeze([
  { kind: "all", name: "All" },
  { kind: "approved", name: "Approved" },
  { kind: "refused", name: "Refused" },
  { kind: "answered", name: "Answered" },
  { kind: "expired", name: "Expired" },
]);

const MARKS = /** @type {const} */ ({ approved: "check", refused: "cross", answered: "check", expired: "clock", dropped: "minus" });

class Decisions extends View {
  constructor() {
    super();
    /** @type {Kind} */ this.kind = "all";
  }

  render() {
    const decided = decisions(questions.value, this.kind);
    return html`<section class="block" aria-labelledby="decisions">
      <div class="block-head">
        <h2 id="decisions">Decisions</h2>
        <div class="chips" role="group" aria-label="Which decisions">
          ${KINDS.map(({ kind, name }) => html`<button class="filter" type="button" aria-pressed=${kind === this.kind} @click=${() => this.#pick(kind)}>${name}</button>`)}
        </div>
        <span class="apart"></span>
        <button class="button small" type="button" ?disabled=${!decided.length} @click=${() => save("decisions.csv", "text/csv", asCsv(decided))}>${icon("export")} CSV</button>
        <button class="button small" type="button" ?disabled=${!decided.length} @click=${() => save("decisions.json", "application/json", JSON.stringify(decided, null, 2))}>${icon("export")} JSON</button>
      </div>
      ${decided.length ? this.#table(decided) : html`<p class="hint">${loaded.value ? "None." : "Loading"}</p>`}
      ${older.value ? html`<button class="button ghost" type="button" @click=${loadDecisions}>Show older</button>` : ""}
    </section>`;
  }

  /** @param {Question[]} decided */
  #table(decided) {
    return html`<div class="table-frame" tabindex="0" role="region" aria-labelledby="decisions">
      <table class="table">
        <thead>
          <tr><th scope="col">When</th><th scope="col">Decision</th><th scope="col">What</th><th scope="col">By</th><th scope="col">For</th></tr>
        </thead>
        <tbody>${repeat(decided, ({ interrupt_id }) => interrupt_id, row)}</tbody>
      </table>
    </div>`;
  }

  /** @param {Kind} kind */
  #pick(kind) {
    this.kind = kind;
    this.requestUpdate();
  }
}

/** @param {Question} one */
function row(one) {
  const kind = kindOf(one);
  const after = one.answered_at ? Date.parse(one.answered_at) - Date.parse(one.raised_at) : null;
  return html`<tr>
    <td class="when">${one.answered_at ? html`<time datetime=${one.answered_at}>${dayAndTime(one.answered_at)}</time>` : ""}</td>
    <td><span class="decided" data-kind=${kind}>${icon(MARKS[kind])} ${kind === "dropped" ? "no longer asked" : kind}${one.edited ? ", edited" : ""}</span></td>
    <td>${what(one)}<span class="facts">${missionLink(one)}${after === null ? "" : ` · after ${duration(after)}`}</span></td>
    <td>${one.by ?? (kind === "expired" ? "time" : "")}</td>
    <td>${one.user_id ?? ""}</td>
  </tr>`;
}

/** @param {Question} one */
function what({ tool, arguments: ran, message, kind, decision, answer, note }) {
  const said = kind === "clarification" ? `“${brief(answer, 120)}”` : kind === "confirmation" ? "" : (decision ?? "").replaceAll("_", " ");
  return html`<span class="what">
    ${tool ? html`<code>${tool}</code> ${brief(ran, 120)}` : message} ${said ? html`<b>${said}</b>` : ""} ${note ? html`<q>${note}</q>` : ""}
  </span>`;
}

define("ct-decisions", Decisions);
