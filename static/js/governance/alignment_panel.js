/** The promises, each checked just now on the system's own records, with those that break it. */

import { html } from "lit";
import { brief, counted } from "../ui/format.js";
import { icon } from "../ui/icons.js";

const MARKS = /** @type {Readonly<Record<string, "check" | "cross" | "minus">>} */ ({ holds: "check", violated: "cross", unknown: "minus" });

/** @param {Record<string, any>} dashboard */
export function alignmentPanel({ alignment }) {
  return html`<section class="block" aria-labelledby="alignment">
    <h2 id="alignment">Promises, checked just now</h2>
    <ul class="list">
      ${alignment.map(check)}
    </ul>
  </section>`;
}

/** @param {Record<string, any>} one */
function check({ statement, status, checked, violations, violators, looked_at }) {
  const found = status === "unknown" ? "nothing to judge yet" : `${counted(checked, "record")} checked`;
  return html`<li class="item promise" data-status=${status}>
    <p>${icon(MARKS[status] ?? "minus")}<span class="visually-hidden">${status}:</span> ${statement}</p>
    <p class="facts" title="Looked at: ${looked_at}">${found}${violations ? html` · <b class="bad">${violations.toLocaleString("en")} broken</b>` : ""}</p>
    ${violators.length
      ? html`<details>
          <summary>Which</summary>
          <ul class="violators">
            ${violators.map((/** @type {Record<string, unknown>} */ each) => html`<li><code>${brief(each, 200)}</code></li>`)}
          </ul>
        </details>`
      : ""}
  </li>`;
}
