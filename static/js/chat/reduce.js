/** The page's one reducer: wire events in, a new model out. Pure, and told nothing of sockets, time or the DOM. */

import { reduceMission } from "./mission.js";
import { emptyChat, emptyMission, upsert } from "./model.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Chat} Chat */
/** @typedef {import("./model.js").Session} Session */
/** @typedef {import("./model.js").Message} Message */
/** @typedef {import("../wire/types.js").TowerEvent} TowerEvent */

/**
 * The model after events of any topics. Those of one animation frame are given together, so that a long replay
 * costs one copy of what is held back for a frame, not one for an event.
 * @param {Model} model
 * @param {TowerEvent[]} events
 * @returns {Model}
 */
export function reduceAll(model, events) {
  /** @type {Map<string, TowerEvent[]>} */ const held = new Map();
  let next = model;
  for (const event of events) {
    if (event.type === "replay.done") {
      next = event.data.topics.reduce(replayed, hold(next, held));
      continue;
    }
    next = reduceWaiting(reduceSessions(next, event), event);
    const id = event.session_id;
    if (!id || event.type.startsWith("session.")) continue;
    if (next.chats[id]?.state === "open") next = withChat(next, id, (chat) => apply(chat, event));
    else (held.get(id) ?? setNew(held, id)).push(event);
  }
  return hold(next, held);
}

/**
 * The model after one event.
 * @param {Model} model
 * @param {TowerEvent} event
 * @returns {Model}
 */
export function reduce(model, event) {
  return reduceAll(model, [event]);
}

/**
 * A chat's state changes: it is opened (a replay follows), closed, or the server does not know it.
 * @param {Model} model
 * @param {string} session_id
 * @param {Chat["state"]} state
 * @returns {Model}
 */
export function setChatState(model, session_id, state) {
  return withChat(model, session_id, (chat) => ({ ...chat, state }));
}

/**
 * The connection is gone. What comes after it comes by several subscriptions, each in order for itself, so that
 * an event of one may overtake older ones of another: open chats hold everything until their own replay is done.
 * @param {Model} model
 * @returns {Model}
 */
export function holdOpenChats(model) {
  const open = Object.values(model.chats).filter(({ state }) => state === "open");
  return open.reduce((next, { session_id }) => setChatState(next, session_id, "loading"), model);
}

/**
 * Sessions as a list says them.
 * @param {Model} model
 * @param {Session[]} sessions
 * @returns {Model}
 */
export function mergeSessions(model, sessions) {
  const listed = Object.fromEntries(sessions.map((session) => [session.session_id, session]));
  return { ...model, sessions: { ...model.sessions, ...listed } };
}

/**
 * Open questions as a list says them.
 * @param {Model} model
 * @param {{interrupt_id: string, session_id: string}[]} interrupts
 * @returns {Model}
 */
export function mergeWaiting(model, interrupts) {
  return { ...model, waiting: Object.fromEntries(interrupts.map(({ interrupt_id, session_id }) => [interrupt_id, session_id])) };
}

/**
 * Messages as a list says them, where the events that told of them are gone.
 * @param {Model} model
 * @param {string} session_id
 * @param {Message[]} messages oldest first
 * @returns {Model}
 */
export function mergeMessages(model, session_id, messages) {
  return withChat(model, session_id, (chat) => {
    const known = new Map(chat.messages.map((message) => [message.message_id, message]));
    const older = messages.map((message) => known.get(message.message_id) ?? message);
    const listed = new Set(messages.map((message) => message.message_id));
    return { ...chat, messages: [...older, ...chat.messages.filter(({ message_id }) => !listed.has(message_id))] };
  });
}

/** @param {Model} model @param {string} id @param {(chat: Chat) => Chat} change @returns {Model} */
function withChat(model, id, change) {
  const before = model.chats[id] ?? emptyChat(id);
  const after = change(before);
  return after === before ? model : { ...model, chats: { ...model.chats, [id]: after } };
}

/** @param {Model} model @param {string} topic @returns {Model} */
function replayed(model, topic) {
  if (!topic.startsWith("session:")) return model;
  return withChat(model, topic.slice("session:".length), (chat) => {
    const ordered = chat.backlog.filter(({ offset = Infinity }) => offset > chat.offset);
    ordered.sort((a, b) => (a.offset ?? Infinity) - (b.offset ?? Infinity));
    return ordered.reduce(apply, { ...chat, state: "open", backlog: [] });
  });
}

/** @param {Map<string, TowerEvent[]>} held @param {string} id @returns {TowerEvent[]} */
function setNew(held, id) {
  /** @type {TowerEvent[]} */ const events = [];
  held.set(id, events);
  return events;
}

/** Keeps events of chats that are not open; deltas are worth keeping only while a replay runs. @param {Model} model @param {Map<string, TowerEvent[]>} held @returns {Model} */
function hold(model, held) {
  let next = model;
  for (const [id, events] of held) {
    next = withChat(next, id, (chat) => {
      const kept = chat.state === "closed" ? events.filter(({ offset }) => offset !== undefined) : events;
      return { ...chat, backlog: [...chat.backlog, ...kept] };
    });
  }
  held.clear();
  return next;
}

/** @param {Chat} chat @param {TowerEvent} event @returns {Chat} */
function apply(chat, event) {
  if (event.offset !== undefined && event.offset <= chat.offset) return chat;
  const offset = event.offset ?? chat.offset;
  if (event.type.startsWith("message.")) return { ...chat, offset, messages: reduceMessages(chat.messages, event) };
  if (!event.mission_id) return { ...chat, offset };
  const { mission_id, session_id = chat.session_id } = event;
  const known = chat.missions.findLast((mission) => mission.mission_id === mission_id);
  if (!known && event.offset === undefined) return chat;
  const before = known ?? emptyMission(mission_id, session_id, event.at);
  const after = reduceMission(before, event);
  if (after === known) return offset === chat.offset ? chat : { ...chat, offset };
  return { ...chat, offset, missions: upsert(chat.missions, "mission_id", mission_id, () => after) };
}

/** @param {Message[]} messages @param {TowerEvent} event @returns {Message[]} */
function reduceMessages(messages, { type, at, data }) {
  const { message } = data;
  const deleted = type === "message.deleted" ? { deleted_at: message.deleted_at ?? at } : {};
  return upsert(messages, "message_id", message.message_id, (known) => ({ ...known, ...message, ...deleted }));
}

/** @param {Model} model @param {TowerEvent} event @returns {Model} */
function reduceSessions(model, { type, at, data, session_id }) {
  if (type.startsWith("session.") && data.session) {
    const session = type === "session.deleted" ? { deleted_at: at, ...data.session } : data.session;
    return { ...model, sessions: { ...model.sessions, [session.session_id]: { ...model.sessions[session.session_id], ...session } } };
  }
  const known = session_id && model.sessions[session_id];
  if (type !== "message.created" || !known || known.last_activity >= at) return model;
  return { ...model, sessions: { ...model.sessions, [session_id]: { ...known, last_activity: at } } };
}

/** @param {Model} model @param {TowerEvent} event @returns {Model} */
function reduceWaiting(model, { type, data, session_id }) {
  if (type === "interrupt.raised" && session_id) return { ...model, waiting: { ...model.waiting, [data.interrupt_id]: session_id } };
  if (!type.startsWith("interrupt.") || !(data.interrupt_id in model.waiting)) return model;
  const { [data.interrupt_id]: _, ...waiting } = model.waiting;
  return { ...model, waiting };
}
