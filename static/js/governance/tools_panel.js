/** Tools as cards: how they do, what is wrong, what to do, and their breakers. */

import { html } from "lit";
import { operates } from "../ui/connection.js";
import { counted, dayAndTime, duration } from "../ui/format.js";
import { healthMark } from "../ui/health_mark.js";
import { icon } from "../ui/icons.js";
import { resetBreaker } from "../ui/breaker.js";
import { check } from "./store.js";

/** Those that need a look come first, those that were never called last. */
const WORST_FIRST = Object.freeze(["unhealthy", "degraded", "healthy", "unknown"]);

/** @param {Record<string, any>} dashboard */
export function toolsPanel({ tools, slow_executions, breakers }) {
  const places = new Map(breakers.map((/** @type {any} */ { tool_name, nodes }) => [tool_name, nodes.join(", ")]));
  const called = tools.filter((/** @type {any} */ tool) => tool.total_calls || tool.breaker !== "closed");
  const idle = tools.filter((/** @type {any} */ tool) => !called.includes(tool));
  called.sort((/** @type {any} */ a, /** @type {any} */ b) => WORST_FIRST.indexOf(a.status) - WORST_FIRST.indexOf(b.status) || b.total_calls - a.total_calls);
  return html`<section class="block" aria-labelledby="tools">
    <h2 id="tools">Tools</h2>
    <ul class="list">
      ${called.map((/** @type {any} */ tool) => card(tool, places.get(tool.tool_name)))}
    </ul>
    ${idle.length ? html`<p class="facts">Not called lately: ${idle.map((/** @type {any} */ { tool_name }) => tool_name).join(", ")}</p>` : ""}
    ${slow_executions.length
      ? html`<h3 class="label">Slow lately</h3>
          <ul class="list">
            ${slow_executions.map((/** @type {any} */ one) => html`<li class="facts"><code>${one.tool_name}</code> ${duration(one.latency_ms)} · ${dayAndTime(one.at)}</li>`)}
          </ul>`
      : ""}
  </section>`;
}

/**
 * @param {Record<string, any>} tool
 * @param {string} [places] the nodes at which its breaker is not closed, of several
 */
function card({ tool_name, status, success_rate, avg_latency_ms, total_calls, issues, recommendations, recent_errors, breaker }, places) {
  const facts = [counted(total_calls, "call"), success_rate === null ? "" : `${Math.round(success_rate * 100)} % good`, avg_latency_ms === null ? "" : `${duration(avg_latency_ms)} on average`];
  return html`<li class="item">
    <div class="item-head"><code class="item-name">${tool_name}</code>${healthMark(status, total_calls ? "too few calls to tell" : "no calls")}</div>
    <p class="facts">${facts.filter(Boolean).join(" · ")}</p>
    ${[...issues, ...recommendations].map((/** @type {string} */ text) => html`<p class="issue">${text}</p>`)}
    ${breaker === "closed"
      ? ""
      : html`<p class="row"><span class="chip warn">breaker ${breaker.replaceAll("_", " ")}${places ? ` at ${places}` : ""}</span>${operates() ? html`<button class="button small" type="button" @click=${() => resetBreaker(tool_name).then(check)}>${icon("retry")} Reset</button>` : ""}</p>`}
    ${recent_errors.length
      ? html`<details>
          <summary>Latest errors</summary>
          <ul class="violators">
            ${recent_errors.map((/** @type {any} */ { at, error }) => html`<li><span class="facts">${dayAndTime(at)}</span> ${error}</li>`)}
          </ul>
        </details>`
      : ""}
  </li>`;
}
