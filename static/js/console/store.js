/**
 * The console's state as signals, and what fills it: the events of everything, and the server's own figures, asked
 * for every two seconds. The table and the feed are changed in place; a revision tells that they were.
 */

import { computed, signal } from "@preact/signals-core";
import { hello, status as connection, tower } from "../ui/connection.js";
import { byFrame } from "../ui/frames.js";
import { fetchRest } from "../ui/rest.js";
import { report } from "../ui/toast.js";
import { arrange } from "./arrange.js";
import { Feed } from "./feed.js";
import { Processes } from "./processes.js";
import { missing, sampled } from "./samples.js";

/** @typedef {import("./samples.js").Sample} Sample */
/** @typedef {import("./arrange.js").Arrangement} Arrangement */

const SAMPLE_MS = 2_000;
const TOOLS_MS = 5_000;
/** How often the table is arranged anew while events flood in: faster than that nobody reads. */
const TABLE_MS = 200;
const RECENT = 200;
const PAGE = 500;
/** Beyond it the table shows the newest of a state, and says so. Of those that ended it has a page anyway. */
const PAGES_OF_A_STATE = 10;
export const LISTED_OF_A_STATE = PAGE * PAGES_OF_A_STATE;
const ACTIVE = /** @type {const} */ (["running", "ready", "waiting", "blocked", "paused"]);

export const processes = new Processes();
export const feed = new Feed();
export const tableRevision = signal(0);
export const feedRevision = signal(0);
/** @type {import("@preact/signals-core").Signal<readonly Sample[]>} */
export const samples = signal([]);
/** The last answer to `tower.status`. @type {import("@preact/signals-core").Signal<Record<string, any> | null>} */
export const status = signal(null);
/** @type {import("@preact/signals-core").Signal<Record<string, any>[] | null>} */
export const tools = signal(null);
/** Whether the table has been filled. */
export const loaded = signal(false);

/** @type {import("@preact/signals-core").Signal<Arrangement>} */
export const arrangement = signal({ states: new Set(ACTIVE), text: "", column: "age", falling: false, tree: false });

/** What the table shows, in order. */
export const lines = computed(() => {
  void tableRevision.value;
  return arrange(processes.rows.values(), arrangement.value);
});

/** Whether this person may see everything; null while it is not known. */
export const seesAll = computed(() => (hello.value ? hello.value.role !== "user" : null));

/** Up to here the table knows from the server's lists; older events are for the feed alone. */
let known = 0;

/** Follows everything, from a little before now, so that the feed begins with something. Called once this person is known. */
export async function follow() {
  if (!seesAll.value) return;
  try {
    const since = Math.max(0, (hello.value?.offset ?? 0) - RECENT);
    const { offset } = await tower.subscribe(["system"], { since, deltas: false });
    known = Math.max(known, offset);
  } catch (error) {
    return report(error);
  }
  await fill();
  void sample();
  void loadTools();
}

/** Listens, and keeps asking. Called once. */
export function listen() {
  tower.on("event", gather);
  tower.on("reset", () => void refill());
  tower.on("gap", () => void refill());
  setInterval(() => void sample(), SAMPLE_MS);
  setInterval(() => void loadTools(), TOOLS_MS);
}

/** Arranges the table as told; nothing else of it changes. @param {Partial<Arrangement>} change */
export function rearrange(change) {
  arrangement.value = { ...arrangement.value, ...change };
}

/** Asks how the tools are, now. */
export async function loadTools() {
  if (!seesAll.value || connection.value.state !== "live") return;
  try {
    tools.value = await (await fetchRest("GET", "/api/v1/governance/tools")).json();
  } catch {
    tools.value ??= []; // It is asked again in a moment; the status says how the connection is.
  }
}

/** The log was replaced, or part of it is gone: the table is what the server says now. */
async function refill() {
  drop();
  known = 0;
  processes.clear();
  await fill();
}

/** Every active process, and the latest that ended. */
async function fill() {
  try {
    await Promise.all([...ACTIVE.map((state) => fillState(state, PAGES_OF_A_STATE)), fillState("terminated", 1)]);
  } catch (error) {
    report(error);
  }
  loaded.value = true;
  showTable();
}

/** @param {string} state @param {number} pages */
async function fillState(state, pages) {
  /** @type {string | undefined} */ let cursor;
  for (let page = 0; page < pages; page += 1) {
    const answer = await tower.call("mission.list", { state, limit: PAGE, ...(cursor && { cursor }) });
    processes.load(answer.missions.reverse());
    if (!(cursor = answer.next_cursor)) return;
  }
}

const { gather, drop } = byFrame((events) => {
  feed.push(events.filter(({ offset }) => offset !== undefined));
  feedRevision.value += 1;
  if (processes.apply(events.filter(({ offset = 0 }) => offset > known))) showTableSoon();
});

let shownAt = 0;
let planned = false;

function showTable() {
  planned = false;
  shownAt = performance.now();
  tableRevision.value += 1;
}

/** At once where it has been still, else with the next beat. */
function showTableSoon() {
  if (planned) return;
  const wait = shownAt + TABLE_MS - performance.now();
  if (wait <= 0) return showTable();
  planned = true;
  setTimeout(showTable, wait);
}

/** @type {{at: number, total: number} | null} */ let counted = null;

async function sample() {
  if (!seesAll.value || connection.value.state !== "live") return;
  try {
    const answer = await tower.call("tower.status");
    const count = { at: Date.now(), total: feed.total };
    samples.value = sampled(samples.value, answer, { ...count, before: counted });
    counted = count;
    status.value = answer;
    await reconcile(answer);
  } catch {
    counted = null; // The connection broke: the next sample counts anew.
  }
}

/** @type {string[]} */ let missed = [];

/** Lists again what the table got wrong, where events could not tell. @param {Record<string, any>} answer */
async function reconcile(answer) {
  const { missed: now, again } = missing(answer, processes.counts(), missed);
  missed = now;
  await Promise.all(again.filter((state) => state !== "terminated").map((state) => fillState(state, 1)));
  if (again.length) showTableSoon();
}

/** Takes over what the server answered to a command. @param {Record<string, any> | undefined} block a control block */
export function take(block) {
  if (!block?.mission_id) return;
  processes.load([block]);
  showTableSoon();
}

/** Draws the feed again: its filter changed, or it was held. */
export function showFeed() {
  feedRevision.value += 1;
}
