/** The processes of the server that share the work. */

import { html } from "lit";
import { status } from "./store.js";

/** @typedef {{node: string | null, token?: number, role?: string, answered?: boolean, draining?: boolean, slots?: {running?: number, free?: number}}} Node */

export function nodeList() {
  if (!status.value) return html`<p class="hint">Loading</p>`;
  const { nodes = [], node: here, slots, draining } = status.value;
  return html`<ul class="list">
    ${nodes.map((/** @type {string | Node} */ each) => {
      /** A server that is alone is just named. @type {Node} */
      const node = typeof each === "string" ? { node: each, draining, slots } : each;
      const [health, said] = healthOf(node);
      return html`<li class="item">
        <div class="item-head"><code class="item-name">${node.node ?? `node ${node.token}`}</code><span class="health" data-status=${health}>${said}</span></div>
        <p class="facts">${factsOf(node, node.node === here)}</p>
      </li>`;
    })}
  </ul>`;
}

/** @param {Node} node @returns {[string, string]} */
function healthOf(node) {
  if (node.answered === false) return ["unhealthy", "no answer"];
  return node.draining ? ["degraded", "draining"] : ["healthy", "up"];
}

/** @param {Node} node @param {boolean} here */
function factsOf({ role, slots }, here) {
  const taken = slots ? `${slots.running ?? 0} of ${(slots.running ?? 0) + (slots.free ?? 0)} slots taken` : "";
  const does = role && role !== "all" ? role : "";
  return [here ? "this page's node" : "another node", does, taken].filter(Boolean).join(" · ");
}
