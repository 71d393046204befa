/** Tools as the console lists them: how they do, their breakers, and a way to close one. */

import { html } from "lit";
import { operates } from "../ui/connection.js";
import { counted, duration } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { resetBreaker } from "../ui/breaker.js";
import { healthMark } from "../ui/health_mark.js";
import { loadTools, tools } from "./store.js";

/** Those that need a look come first. */
const WORST_FIRST = Object.freeze(["unhealthy", "degraded", "healthy", "unknown"]);

export function toolList() {
  if (!tools.value) return html`<p class="hint">Loading</p>`;
  if (!tools.value.length) return html`<p class="hint">No tools are registered.</p>`;
  const sorted = [...tools.value].sort((a, b) => WORST_FIRST.indexOf(a.status) - WORST_FIRST.indexOf(b.status) || a.tool_name.localeCompare(b.tool_name));
  return html`<ul class="list">
    ${sorted.map(toolItem)}
  </ul>`;
}

/** @param {Record<string, any>} tool */
function toolItem({ tool_name, status, breaker, success_rate, avg_latency_ms, total_calls, issues }) {
  const facts = total_calls
    ? [counted(total_calls, "call"), success_rate === null ? "" : `${Math.round(success_rate * 100)} % good`, avg_latency_ms === null ? "" : duration(avg_latency_ms)]
    : ["not called lately"];
  return html`<li class="item">
    <div class="item-head">
      <code class="item-name">${tool_name}</code>${healthMark(status, total_calls ? "too few calls to tell" : "no calls")}
    </div>
    <p class="facts">${facts.filter(Boolean).join(" · ")}</p>
    ${issues.map((/** @type {string} */ issue) => html`<p class="issue">${issue}</p>`)}
    ${breaker === "closed"
      ? ""
      : html`<p class="row">
          <span class="chip warn">breaker ${breaker.replaceAll("_", " ")}</span>
          ${operates() ? html`<button class="button small" type="button" @click=${() => resetBreaker(tool_name).then(loadTools)}>${icon("retry")} Reset</button>` : ""}
        </p>`}
  </li>`;
}
