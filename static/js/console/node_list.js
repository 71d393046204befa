/** The processes of the server that share the work. */

import { html } from "lit";
import { status } from "./store.js";

export function nodeList() {
  if (!status.value) return html`<p class="hint">Loading</p>`;
  const { nodes = [], node, slots = {}, draining } = status.value;
  return html`<ul class="list">
    ${nodes.map((/** @type {any} */ each) => {
      const name = typeof each === "string" ? each : each.node;
      const here = name === node;
      return html`<li class="item">
        <div class="item-head"><code class="item-name">${name}</code><span class="health" data-status=${here && draining ? "degraded" : "healthy"}>${here && draining ? "draining" : "up"}</span></div>
        <p class="facts">${here ? `this page's node · ${slots.running ?? 0} of ${(slots.running ?? 0) + (slots.free ?? 0)} slots taken` : "another node"}</p>
      </li>`;
    })}
  </ul>`;
}
