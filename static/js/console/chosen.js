/** What the server says of the chosen mission: asked when it is chosen or changes, and again while it waits. */

import { signal } from "@preact/signals-core";
import { tower } from "../ui/connection.js";
import { fromRecord } from "../ui/interrupts.js";

/** @typedef {import("./row.js").Row} Row */

/**
 * @typedef {object} Shown
 * @property {string} id
 * @property {Record<string, any>} block the process control block
 * @property {import("./why.js").Explained} explained
 * @property {import("../ui/interrupts.js").Interrupt[]} questions open ones
 */

const AGAIN_MS = 2_000;
/** A mission that changes many times a second is asked about once. */
const SETTLE_MS = 120;

/** @type {import("@preact/signals-core").Signal<Shown | null>} */
export const shown = signal(null);

/** @type {Row | undefined} */ let asked;
/** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;

/**
 * Makes sure that {@link shown} follows a mission.
 * @param {string | null} id
 * @param {Row | undefined} row as the table has it; another one means that it changed
 */
export function look(id, row) {
  if (!id || !row || row === asked) return;
  asked = row;
  plan(row, shown.value?.id === id ? SETTLE_MS : 0);
}

/** @param {Row} row @param {number} wait */
function plan(row, wait) {
  clearTimeout(timer);
  timer = setTimeout(() => void load(row), wait);
}

/** @param {Row} row */
async function load(row) {
  const { mission_id } = row;
  try {
    const [block, explained, { interrupts }] = await Promise.all([
      tower.call("mission.get", { mission_id }),
      tower.call("mission.explain", { mission_id }),
      tower.call("interrupt.list", { mission_id }),
    ]);
    if (asked?.mission_id !== mission_id) return;
    shown.value = { id: mission_id, block, explained, questions: interrupts.map(fromRecord) };
  } catch {
    if (asked?.mission_id !== mission_id) return; // Asked again below: it may be gone, or the connection was.
  }
  if (asked.state !== "terminated") plan(asked, AGAIN_MS);
}
