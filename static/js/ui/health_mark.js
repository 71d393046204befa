/** How healthy something is, by an icon and a word. */

import { html } from "lit";
import { icon } from "./icons.js";

const MARKS = /** @type {Readonly<Record<string, "check" | "hand" | "cross" | "minus">>} */ ({
  healthy: "check",
  degraded: "hand",
  unhealthy: "cross",
  unknown: "minus",
});

/** @param {string} status @param {string} [unknown] what to call it where it can't be told */
export function healthMark(status, unknown = "unknown") {
  return html`<span class="health" data-status=${status}>${icon(MARKS[status] ?? "minus")}${status === "unknown" ? unknown : status}</span>`;
}
