/** What a page says in passing: errors at once, and what can be undone. */

import { signal } from "@preact/signals-core";

/** @typedef {{id: number, text: string, tone: "error" | "info", action?: {label: string, run: () => void}}} Toast */

const SHOWN_MS = 8_000;
const AT_ONCE = 4;

/** @type {import("@preact/signals-core").Signal<Toast[]>} */
export const toasts = signal([]);

/** @param {string} text @param {Toast["tone"]} [tone] @param {Toast["action"]} [action] */
export function toast(text, tone = "error", action = undefined) {
  const id = Math.random();
  toasts.value = [...toasts.value.slice(1 - AT_ONCE), { id, text, tone, action }];
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/** @param {number} id */
export function dismiss(id) {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** @param {any} error tells a failure, unless the connection is closed, which the status says, or the server simply does not have the method */
export function report(error) {
  if (error.code !== "method_not_found" && error.code !== "closed") toast(error.message);
}
