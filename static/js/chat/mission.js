/** How a mission's events change it: one table of pure functions, one for each type of event. */

import { applyDelta, NO_TEXT } from "../wire/deltas.js";
import { upsert } from "./model.js";

/** @typedef {import("./model.js").Mission} Mission */
/** @typedef {import("./model.js").Step} Step */
/** @typedef {import("./model.js").Note} Note */
/** @typedef {import("../wire/types.js").TowerEvent} TowerEvent */
/** @typedef {(mission: Mission, event: TowerEvent) => Mission} Change */

/** @param {Mission["state"]} state @returns {Change} */
const becomes = (state) => (mission, { data }) => ({
  ...mission,
  state,
  cause: data.cause ?? null,
  by: data.by ?? null,
  error: data.error ?? null,
  position: null,
});

/** @param {NonNullable<Mission["outcome"]>} outcome @returns {Change} */
const ends = (outcome) => (mission, { data }) => ({
  ...mission,
  state: "ended",
  outcome,
  cause: null,
  position: null,
  result: data.result ?? null,
  error: data.error ?? null,
  reason: data.reason ?? null,
  by: data.by ?? null,
  usage: data.usage ?? null,
  duration_ms: data.duration_ms ?? null,
  streams: outcome === "completed" ? {} : mission.streams,
  steps: mission.steps.map((step) => (isOpen(step) ? { ...step, state: "unfinished" } : step)),
});

/** @param {Step} step */
const isOpen = (step) => step.state === "running" || step.state === "retrying";

/** @param {Note["kind"]} kind @param {(data: Record<string, any>) => Partial<Note>} tell @returns {Change} */
const notes = (kind, tell) => (mission, { offset = 0, at, data }) => ({
  ...mission,
  notes: [...mission.notes, { offset, kind, at, text: "", ...tell(data) }],
});

/** @param {"resolved" | "expired" | "cancelled"} status @returns {Change} */
const closes = (status) => (mission, { at, data }) => ({
  ...mission,
  interrupts: mission.interrupts.map((interrupt) => {
    if (interrupt.interrupt_id !== data.interrupt_id) return interrupt;
    const { message: note, arguments: ran, ...answer } = data;
    const edited = ran !== undefined && JSON.stringify(ran) !== JSON.stringify(interrupt.arguments);
    return { ...interrupt, ...answer, note, edited, arguments: ran ?? interrupt.arguments, status, answered_at: at };
  }),
});

/** @type {Change} */
function stepStarted(mission, { at, data }) {
  const begun = { output: null, error: null, duration_ms: null, usage: null, size: null, state: /** @type {const} */ ("running") };
  const step = /** @type {Step} */ ({ ...begun, ...data, started_at: at });
  return { ...mission, steps: upsert(mission.steps, "step", step.step, () => step) };
}

/** @param {Mission} mission @param {TowerEvent} event @param {(step: Step) => Step} change @returns {Mission} */
function stepEnded(mission, { at, data }, change) {
  const unseen = { input: null, output: null, error: null, attempt: 1, duration_ms: null, usage: null, size: null, started_at: at };
  const { [data.step]: _, ...streams } = mission.streams;
  const steps = upsert(
    mission.steps,
    "step",
    data.step,
    (step) => change(/** @type {Step} */ ({ ...unseen, ...step, ...data })),
  );
  return { ...mission, steps, streams };
}

/** @type {Change} */
function delta(mission, { data }) {
  if (mission.state === "ended") return mission;
  const key = data.step ?? "";
  const text = applyDelta(mission.streams[key] ?? NO_TEXT, /** @type {any} */ (data));
  return text === mission.streams[key] ? mission : { ...mission, streams: { ...mission.streams, [key]: text } };
}

/** @type {Change} */
function raised(mission, { at, data }) {
  const figures = data.kind === "resource_exhausted" ? mission.exceeded : null;
  const interrupt = /** @type {import("./model.js").Interrupt} */ ({
    ...figures,
    ...data,
    ...{ mission_id: mission.mission_id, session_id: mission.session_id, raised_at: at, status: "pending" },
  });
  return { ...mission, interrupts: upsert(mission.interrupts, "interrupt_id", interrupt.interrupt_id, () => interrupt) };
}

/** @type {Readonly<Record<string, Change>>} */
const CHANGES = Object.freeze({
  "mission.submitted": (mission, { data, at }) => ({ ...mission, ...data, submitted_at: at }),
  "mission.queued": (mission, { data }) => ({ ...mission, state: "queued", cause: data.cause, position: data.position }),
  "mission.started": (mission, event) => ({
    ...becomes("running")(mission, event),
    ...{ started_at: mission.started_at ?? event.at, attempt: event.data.attempt },
  }),
  "mission.waiting": becomes("waiting"),
  "mission.blocked": becomes("blocked"),
  "mission.paused": becomes("paused"),
  "mission.resumed": becomes("running"),
  "mission.preempted": (mission, event) => notes("preempted", () => ({ text: event.data.cause ?? "" }))(becomes("queued")(mission, event), event),
  "mission.recovered": (mission, event) => {
    const text = `Went on after a restart (attempt ${event.data.attempt}, ${event.data.replayed_steps} steps replayed)`;
    const running = becomes("running")(mission, event);
    return { ...notes("recovered", () => ({ text }))(running, event), attempt: event.data.attempt };
  },
  "mission.updated": (mission, { data }) => ({ ...mission, priority: data.priority ?? mission.priority, quota: data.quota ?? mission.quota }),
  "mission.progress": notes("progress", ({ name, ...fields }) => ({ text: [name, ...said(fields)].join(" · ") })),
  "mission.completed": ends("completed"),
  "mission.failed": ends("failed"),
  "mission.cancelled": ends("cancelled"),
  "mission.timed_out": ends("timed_out"),
  "mission.quota_exceeded": ends("quota_exceeded"),
  "step.started": stepStarted,
  "step.completed": (mission, event) => stepEnded(mission, event, (step) => ({ ...step, error: null, state: "done" })),
  "step.failed": (mission, event) =>
    stepEnded(mission, event, (step) => ({ ...step, state: event.data.will_retry ? "retrying" : "failed" })),
  "llm.delta": delta,
  "interrupt.raised": raised,
  "interrupt.resolved": closes("resolved"),
  "interrupt.expired": closes("expired"),
  "interrupt.cancelled": closes("cancelled"),
  "quota.warned": notes("quota", ({ resource, used, limit }) => ({ text: `${words(resource)}: ${used} of ${limit} used` })),
  "quota.extended": notes("quota", ({ resource, limit }) => ({ text: `${words(resource)} extended to ${limit}` })),
  "quota.exceeded": (mission, { data }) => ({ ...mission, exceeded: /** @type {any} */ (data) }),
  "artifact.created": notes("artifact", (data) => ({ text: data.name, artifact: /** @type {any} */ (data) })),
});

/** @param {Record<string, unknown>} fields */
const said = (fields) => Object.entries(fields).map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`);

/** @param {string} [name] */
const words = (name) => String(name).replace(/^max_/, "").replaceAll("_", " ");

/**
 * The mission after an event. Types it does not know change nothing.
 * @param {Mission} mission
 * @param {TowerEvent} event
 * @returns {Mission}
 */
export function reduceMission(mission, event) {
  const change = CHANGES[event.type];
  return change ? change(mission, event) : mission;
}

/**
 * What to show as the mission's answer while it runs: the text outside of steps, else that of its newest model turn.
 * @param {Mission} mission
 * @returns {string}
 */
export function liveText(mission) {
  const outside = mission.streams[""]?.text;
  if (outside) return outside;
  const newest = mission.steps.findLast((step) => mission.streams[step.step]?.text);
  return newest ? mission.streams[newest.step].text : "";
}
