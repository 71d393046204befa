/** The layers of memory, each with a look at how it is. */

import { html } from "lit";
import { duration } from "../ui/format.js";
import { healthMark } from "../ui/health_mark.js";

const STATES = /** @type {Readonly<Record<string, string>>} */ ({ up: "healthy", degraded: "degraded", down: "unhealthy" });

/** @param {Record<string, any>} dashboard */
export function layersPanel({ memory_layers }) {
  return html`<section class="block" aria-labelledby="layers">
    <h2 id="layers">Memory layers</h2>
    <ul class="list">
      ${memory_layers.map(layer)}
    </ul>
  </section>`;
}

/** @param {Record<string, any>} one */
function layer({ layer: level, name, source, status, message, latency_ms }) {
  return html`<li class="item">
    <div class="item-head"><span class="item-name"><span class="level">${level}</span> ${name}</span>${healthMark(STATES[status] ?? "unknown")}</div>
    <p class="facts" title=${latency_ms === null ? "" : `looked up in ${duration(latency_ms)}`}>${source}: ${message}</p>
  </li>`;
}
