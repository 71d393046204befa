/**
 * The console's keys, as in htop. Letters work anywhere on the page unless the person limits them to the table
 * (WCAG 2.1.4: speech input would otherwise trigger them); never while something is being typed.
 */

import { signal } from "@preact/signals-core";
import { looksOnly } from "../ui/connection.js";
import { ask, keysOpen } from "./dialogs.js";
import { commandAll, shiftPriority } from "./commands.js";
import { chosen, cursor, cursorIndex, moveTo, tag, tagAll, tagged, untag } from "./selection.js";
import { arrangement, processes, rearrange } from "./store.js";

const STORED = "tower.console.keys";

/** Whether letters work only while the table has the focus. */
export const onlyInTable = signal(localStorage.getItem(STORED) === "table");

/** @param {boolean} only */
export function limitKeys(only) {
  onlyInTable.value = only;
  localStorage.setItem(STORED, only ? "table" : "page");
}

const PAGE_ROWS = 15;

/** @typedef {{key: string, shown: string, what: string, acts?: boolean, run: () => unknown}} Key */

/** @type {readonly Key[]} */
export const KEYS = Object.freeze([
  { key: "/", shown: "/", what: "Search", run: () => /** @type {HTMLInputElement | null} */ (document.querySelector("#search"))?.focus() },
  { key: " ", shown: "Space", what: "Tag the process, and go on to the next", run: tagAndGoOn },
  { key: "a", shown: "a", what: "Tag all that are shown, or none", run: tagAll },
  { key: "t", shown: "t", what: "Children under their parents", run: () => rearrange({ tree: !arrangement.value.tree }) },
  { key: "k", shown: "k", what: "Cancel, with a reason", acts: true, run: () => ask("cancel", chosen()) },
  { key: "p", shown: "p", what: "Pause, or resume what is paused", acts: true, run: pauseOrResume },
  { key: "]", shown: "]", what: "Raise the priority", acts: true, run: () => shiftPriority(chosen(), 1) },
  { key: "[", shown: "[", what: "Lower the priority", acts: true, run: () => shiftPriority(chosen(), -1) },
  { key: "?", shown: "?", what: "These keys", run: () => (keysOpen.value = true) },
]);

/** @type {Readonly<Record<string, () => number>>} */
const MOVES = Object.freeze({
  ArrowDown: () => cursorIndex() + 1,
  ArrowUp: () => cursorIndex() - 1,
  PageDown: () => cursorIndex() + PAGE_ROWS,
  PageUp: () => cursorIndex() - PAGE_ROWS,
  Home: () => 0,
  End: () => Infinity,
});

/** @param {KeyboardEvent} event */
export function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (target.closest("input, textarea, select, dialog, [role=menu], [role=tablist]")) return;
  const inTable = target.id === "processes";
  if (inTable && move(event)) return;
  if (onlyInTable.value && !inTable) return;
  if (event.key === " " && target.closest("button, a, summary")) return;
  const found = KEYS.find(({ key }) => key === event.key);
  if (!found || (found.acts && looksOnly())) return;
  event.preventDefault();
  found.run();
}

/** @param {KeyboardEvent} event @returns {boolean} */
function move(event) {
  if (event.key === "Escape") {
    untag();
    return true;
  }
  const to = MOVES[event.key];
  if (!to) return false;
  event.preventDefault();
  moveTo(to());
  return true;
}

function tagAndGoOn() {
  if (!cursor.value) return moveTo(0);
  tag(cursor.value);
  return moveTo(cursorIndex() + 1);
}

/** One is paused at once and can be resumed at once; many are asked about. */
function pauseOrResume() {
  const ids = chosen();
  const paused = ids.filter((id) => processes.rows.get(id)?.state === "paused");
  const verb = paused.length === ids.length ? "resume" : "pause";
  const meant = verb === "resume" ? paused : ids.filter((id) => !paused.includes(id));
  return tagged.value.size > 1 ? ask(verb, meant) : void commandAll(verb, meant, "");
}
