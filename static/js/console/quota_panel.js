/** What a mission has used of what it may, and a way to give it more. */

import { html } from "lit";
import { looksOnly } from "../ui/connection.js";
import { icon } from "../ui/icons.js";
import { shareBar } from "../ui/share.js";
import { extendQuota } from "./commands.js";
import { shares } from "./row.js";

/** @param {Record<string, any>} block */
export function quotaPanel(block) {
  const { quota, usage, mission_id, state } = block;
  const time = { resource: "running time", used: Math.round(usage.elapsed_seconds), limit: quota.timeout_seconds, share: usage.elapsed_seconds / (quota.timeout_seconds || Infinity) };
  const all = [...shares({ quota, usage }), ...(quota.timeout_seconds ? [time] : [])];
  return html`<section class="quota-panel" aria-label="Quota">
    <h3 class="label">Quota</h3>
    <ul>
      ${all.map(
        ({ resource, used, limit, share }) => html`<li>
          <span>${resource.replaceAll("_", " ")}</span>${shareBar(share, "")}<span class="figure">${figure(resource, used)} of ${figure(resource, limit)}</span>
        </li>`,
      )}
    </ul>
    ${state === "terminated" || looksOnly() ? "" : extendForm(mission_id, all.map(({ resource }) => resource).filter((resource) => resource !== "running time"))}
  </section>`;
}

/** @param {string} resource @param {number} value */
function figure(resource, value) {
  if (resource === "running time") return `${value.toLocaleString("en")} s`;
  return resource === "cost_usd" ? `$${value.toFixed(2)}` : value.toLocaleString("en");
}

/** @param {string} mission_id @param {string[]} resources */
function extendForm(mission_id, resources) {
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const amount = Number(fields.get("amount"));
    if (amount > 0) void extendQuota(mission_id, String(fields.get("resource")), amount);
  };
  return html`<form class="row extend" @submit=${submit}>
    <select name="resource" aria-label="What to extend">
      ${resources.map((resource, index) => html`<option value="max_${resource}" ?selected=${index === 0}>${resource.replaceAll("_", " ")}</option>`)}
      <option value="timeout_seconds">running time (s)</option>
    </select>
    <input name="amount" type="number" min="0" step="any" value="50" required aria-label="Amount to add" />
    <button class="button small" type="submit">${icon("plus")} Extend</button>
  </form>`;
}
