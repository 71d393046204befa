/** Which process the table's cursor stands on, and which are tagged for what is done to many. */

import { signal } from "@preact/signals-core";
import { lines, processes } from "./store.js";

/** @type {import("@preact/signals-core").Signal<string | null>} */
export const cursor = signal(null);
/** @type {import("@preact/signals-core").Signal<ReadonlySet<string>>} */
export const tagged = signal(new Set());

/** @param {string} mission_id */
export function tag(mission_id) {
  const next = new Set(tagged.value);
  if (!next.delete(mission_id)) next.add(mission_id);
  tagged.value = next;
}

/** Tags all that the table shows, or none where all of them are tagged already. */
export function tagAll() {
  const shown = lines.value.map(({ row }) => row.mission_id);
  tagged.value = shown.every((id) => tagged.value.has(id)) ? new Set() : new Set(shown);
}

export function untag() {
  tagged.value = new Set();
}

/** What a command is for: the tagged ones that have not ended, else the one under the cursor. @returns {string[]} */
export function chosen() {
  const ids = tagged.value.size ? [...tagged.value] : cursor.value ? [cursor.value] : [];
  return ids.filter((id) => (processes.rows.get(id)?.state ?? "terminated") !== "terminated");
}

/** The cursor's place among the lines; -1 where it is not shown. */
export function cursorIndex() {
  return lines.value.findIndex(({ row }) => row.mission_id === cursor.value);
}

/** Moves the cursor to a line, the nearest there is. @param {number} index @returns {number} where it is now */
export function moveTo(index) {
  const to = Math.max(0, Math.min(lines.value.length - 1, index));
  cursor.value = lines.value[to]?.row.mission_id ?? null;
  return to;
}
