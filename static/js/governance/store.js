/**
 * The governance page's state as signals: questions by events, everything else by asking again. A user sees what
 * concerns them, viewers and operators everybody's; the server sees to that.
 */

import { signal } from "@preact/signals-core";
import { hello, status, tower } from "../ui/connection.js";
import { byFrame } from "../ui/frames.js";
import { fetchRest } from "../ui/rest.js";
import { report } from "../ui/toast.js";
import { merge, reduce } from "./questions.js";

const PAGE = 100;
const CHECK_MS = 10_000;

/** @type {import("@preact/signals-core").Signal<import("./questions.js").Questions>} */
export const questions = signal({});
/** What `/api/v1/governance/dashboard` said last. @type {import("@preact/signals-core").Signal<Record<string, any> | null>} */
export const dashboard = signal(null);
/** What users spent on {@link day}. @type {import("@preact/signals-core").Signal<Record<string, any>[] | null>} */
export const spending = signal(null);
/** A UTC day, `2026-11-21`. */
export const day = signal(new Date().toISOString().slice(0, 10));
/** Whether the first lists have come. */
export const loaded = signal(false);
/** Where the list of decisions goes on; null at its end. @type {import("@preact/signals-core").Signal<string | null>} */
export const older = signal(null);

/** The topic of all that this person may see. */
export function ownTopic() {
  return hello.value?.role === "user" ? `user:${hello.value.user_id}` : "system";
}

/** Follows questions, and asks for the rest. Called once this person is known. */
export async function follow() {
  try {
    await tower.subscribe([ownTopic()], { types: ["interrupt.*"], deltas: false });
  } catch (error) {
    return report(error);
  }
  await refill();
}

/** Listens, and keeps asking. Called once. */
export function listen() {
  tower.on("event", gather);
  tower.on("reset", () => void refill());
  tower.on("gap", () => void refill());
  setInterval(() => document.hidden || void check(), CHECK_MS);
}

/** Everything anew. */
async function refill() {
  questions.value = {};
  older.value = null;
  await Promise.all([loadPending(), loadDecisions(), check()]);
  loaded.value = true;
}

/** Goes on with the decisions, from the latest backwards. */
export async function loadDecisions() {
  try {
    const query = { status: "any", order: "newest", limit: PAGE, cursor: older.value ?? undefined };
    const records = await (await fetchRest("GET", "/api/v1/interrupts", { query })).json();
    questions.value = merge(questions.value, records);
    older.value = records.length === PAGE ? records.at(-1).interrupt_id : null;
  } catch (error) {
    report(error);
  }
}

/** @param {string} chosen */
export async function showDay(chosen) {
  day.value = chosen;
  await loadSpending();
}

async function loadPending() {
  try {
    const { interrupts } = await tower.call("interrupt.list", { status: "pending", limit: 500 });
    questions.value = merge(questions.value, interrupts);
  } catch (error) {
    report(error);
  }
}

/** Asks how everything is; where that fails the last answer stays, with its time. */
export async function check() {
  if (status.value.state !== "live") return;
  await Promise.all([loadDashboard(), loadSpending()]);
}

async function loadDashboard() {
  try {
    dashboard.value = await (await fetchRest("GET", "/api/v1/governance/dashboard")).json();
  } catch (error) {
    if (!dashboard.value) report(error);
  }
}

async function loadSpending() {
  try {
    spending.value = await (await fetchRest("GET", "/api/v1/governance/usage", { query: { day: day.value, limit: 1_000 } })).json();
  } catch (error) {
    if (!spending.value) report(error);
  }
}

const { gather } = byFrame((events) => (questions.value = reduce(questions.value, events)));
