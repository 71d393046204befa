/** How healthy something is, by an icon and a word. */

import { html } from "lit";
import { icon } from "./icons.js";

const MARKS = /** @type {Readonly<Record<string, "check" | "hand" | "cross" | "minus">>} */ ({
  healthy: "check",
  degraded: "hand",
  unhealthy: "cross",
  unknown: "minus",
});

/** @param {string} status */
export function healthMark(status) {
  return html`<span class="health" data-status=${status}>${icon(MARKS[status] ?? "minus")}${status === "unknown" ? "no calls" : status}</span>`;
}
