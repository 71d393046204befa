/**
 * The page's state as signals, and the one connection that feeds it.
 *
 * Events are gathered for one animation frame and reduced together; a component draws what it reads. Nothing here
 * touches the DOM but the frame clock and the address.
 */

import { batch, computed, signal } from "@preact/signals-core";
import { hello, start as connect, tower } from "../ui/connection.js";
import { byFrame } from "../ui/frames.js";
import { report, toast } from "../ui/toast.js";
import { announcements, asks } from "./announce.js";
import { EMPTY_MODEL } from "./model.js";
import { allMessages } from "./history.js";
import { holdOpenChats, mergeMessages, mergeSessions, mergeWaiting, reduceAll, setChatState } from "./reduce.js";
import { openInterrupts } from "./timeline.js";

/** @typedef {import("../client.js").TowerEvent} TowerEvent */

const SESSION_PAGE = 50;
const MAX_OPEN = 60;

/** @type {import("@preact/signals-core").Signal<import("./model.js").Model>} */
export const model = signal(EMPTY_MODEL);
/** The session in the address, null for a new one. @type {import("@preact/signals-core").Signal<string | null>} */
export const sessionId = signal(address().session);
/** The message or mission of it that the address leads to. @type {import("@preact/signals-core").Signal<string | null>} */
export const placeId = signal(address().place);
/** What the announcer says. */
export const announcement = signal("");
/** Whether there are sessions that were not listed yet. */
export const moreSessions = signal(false);

export const chat = computed(() => (sessionId.value ? model.value.chats[sessionId.value] : undefined));
export const session = computed(() => (sessionId.value ? model.value.sessions[sessionId.value] : undefined));

/** Connects, and follows the address. */
export function start() {
  tower.on("status", onStatus);
  tower.on("event", gather);
  tower.on("subscribed", ({ topics, result }) => topics.forEach((topic) => notePast(topic, result.offset)));
  tower.on("reset", restart);
  tower.on("gap", ({ topics, floor, result }) => topics.forEach((topic) => void refill(topic, floor, result)));
  tower.on("lost", ({ topics }) => topics.forEach((topic) => setState(topic, "missing")));
  addEventListener("hashchange", follow);
  connect(() => {
    follow();
    void watchOwn();
  });
}

/** @param {string | null} id where to go; null for a new mission */
export function go(id) {
  location.hash = id ? `#/s/${id}` : "#/";
}

/** Lists further sessions, newest activity first. @param {number} offset */
export async function listSessions(offset) {
  try {
    const params = { filter: "all", archived: "any", limit: SESSION_PAGE, offset };
    const answer = await tower.call("session.list", params);
    const listed = Array.isArray(answer) ? answer : answer.sessions;
    model.value = mergeSessions(model.value, listed);
    moreSessions.value = listed.length === SESSION_PAGE;
  } catch (error) {
    report(error);
  }
}

/** Reads `#/s/SESSION`, with `/MESSAGE` or `/MISSION` behind it for a place in the session. */
function address() {
  const [, session = null, place = null] = /^#\/s\/([\w-]+)(?:\/([\w-]+))?$/.exec(location.hash) ?? [];
  return { session, place };
}

function follow() {
  const { session, place } = address();
  batch(() => {
    sessionId.value = session;
    placeId.value = place;
  });
  if (sessionId.value) open(sessionId.value);
}

/** Sessions that this page made: nothing in them is old. @type {Set<string>} */
const made = new Set();
/** By session, the offset up to which its events were there before it was opened. @type {Map<string, number>} */
const past = new Map();

/** @param {string} topic @param {number} offset */
function notePast(topic, offset) {
  const id = topic.startsWith("session:") ? topic.slice(8) : "";
  if (id && !past.has(id)) past.set(id, made.has(id) ? 0 : offset);
}

/** Goes to a session that was just made here. @param {string} id */
export function goToNew(id) {
  made.add(id);
  go(id);
  follow();
}

/** Subscribes a session from where its transcript ends: everything, the first time. @param {string} id */
function open(id) {
  const known = model.value.chats[id];
  if (known && known.state !== "closed" && known.state !== "missing") return;
  makeRoom();
  model.value = setChatState(model.value, id, "loading");
  tower.subscribe([`session:${id}`], { since: known?.offset || "start" }).catch((error) => {
    if (tower.status.state === "closed") return; // It is asked for again as soon as this person has signed in.
    model.value = setChatState(model.value, id, "missing");
    if (error.code !== "not_found") report(error);
  });
}

/** Topics of a connection are bounded: the session opened longest ago is no longer followed. */
function makeRoom() {
  const open_ = Object.values(model.value.chats).filter(({ state, session_id }) => state === "open" && session_id !== sessionId.value);
  if (open_.length < MAX_OPEN) return;
  const [{ session_id }] = open_;
  model.value = setChatState(model.value, session_id, "closed");
  void tower.unsubscribe([`session:${session_id}`]);
}

/** Follows what belongs to the person but not to the open session: the list, and questions elsewhere. */
async function watchOwn() {
  const topic = `user:${tower.hello?.user_id ?? hello.value?.user_id}`;
  const types = ["session.*", "interrupt.*", "message.created"];
  try {
    await tower.subscribe([topic], { types, deltas: false });
  } catch (error) {
    report(error);
  }
  await listOwn();
}

/** Lists the newest sessions and the open questions. */
async function listOwn() {
  await listSessions(0);
  try {
    const { interrupts } = await tower.call("interrupt.list", { status: "pending" });
    model.value = mergeWaiting(model.value, interrupts);
  } catch (error) {
    report(error);
  }
}

let live = false;

/** @param {import("../client.js").Status} next */
function onStatus(next) {
  if (live && next.state !== "live") {
    flush();
    model.value = holdOpenChats(model.value);
  }
  live = next.state === "live";
}

const { gather, flush, drop } = byFrame((events) =>
  batch(() => {
    model.value = reduceAll(model.value, events);
    announcement.value = worthSaying(events) || announcement.value;
  }),
);

/** What a session asks comes before what it did on the way there. @param {TowerEvent[]} events */
function worthSaying(events) {
  const id = sessionId.value ?? "";
  const opened = events.some(({ type, data }) => type === "replay.done" && data.topics.includes(`session:${id}`));
  const asked = opened && chat.value ? asks(openInterrupts(chat.value)) : "";
  return asked || announcements(events, id, past.get(id));
}

/** The log was replaced: all that is shown was another world's. */
function restart() {
  drop();
  const open_ = Object.keys(model.value.chats).map((id) => `session:${id}`);
  if (open_.length) void tower.unsubscribe(open_);
  model.value = EMPTY_MODEL;
  toast("The server's history was replaced; everything was loaded anew.", "info");
  queueMicrotask(() => {
    follow();
    void listOwn();
  });
}

/** @param {string} topic @param {"open" | "missing"} state */
function setState(topic, state) {
  if (topic.startsWith("session:")) model.value = setChatState(model.value, topic.slice(8), state);
}

/**
 * A session whose oldest events are gone: its messages come from the list, the rest from where events remain.
 * @param {string} topic
 * @param {number | undefined} floor
 * @param {import("../client.js").Subscribed} result
 */
async function refill(topic, floor, result) {
  if (!topic.startsWith("session:")) return listOwn();
  const id = topic.slice(8);
  try {
    model.value = mergeMessages(model.value, id, await allMessages(id));
  } catch (error) {
    report(error);
  }
  if (floor === undefined || floor >= result.offset) return setState(topic, "open");
  model.value = setChatState(model.value, id, "loading");
  return tower.subscribe([topic], { since: floor }).then(() => undefined, report);
}
