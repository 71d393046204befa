/** Which dialog is open. */

import { signal } from "@preact/signals-core";

/** @typedef {{verb: import("./commands.js").Verb, ids: string[]}} Question */

/** What is asked before it is done to these. @type {import("@preact/signals-core").Signal<Question | null>} */
export const question = signal(null);
export const keysOpen = signal(false);

/** @param {Question["verb"]} verb @param {string[]} ids none: nothing is asked */
export function ask(verb, ids) {
  if (ids.length) question.value = { verb, ids };
}
