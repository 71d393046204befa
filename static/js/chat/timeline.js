/** What a transcript shows, in order: pure selections from the model. */

/** @typedef {import("./model.js").Chat} Chat */
/** @typedef {import("./model.js").Message} Message */
/** @typedef {import("./model.js").Mission} Mission */
/** @typedef {import("./model.js").Session} Session */
/** @typedef {import("./model.js").Interrupt} Interrupt */

/** @typedef {{key: string, message: Message} | {key: string, mission: Mission}} Entry */

/**
 * A chat's transcript: messages in order, each root mission right after the message that gave it. The answer of a
 * mission that is shown is part of it, and so is what a person answered to its questions: neither is a message of
 * its own.
 * @param {Chat} chat
 * @returns {Entry[]}
 */
export function timeline(chat) {
  const roots = new Map(chat.missions.filter((mission) => !mission.parent_id).map((mission) => [mission.mission_id, mission]));
  const shown = new Set();
  /** @type {Entry[]} */ const entries = [];
  for (const message of chat.messages) {
    const mission = message.mission_id ? roots.get(message.mission_id) : undefined;
    const answers = mission && (message.role === "assistant" || (shown.has(mission) && isAnswer(message, mission)));
    if (!message.deleted_at && !answers) entries.push({ key: message.message_id, message });
    if (mission && !shown.has(mission)) {
      shown.add(mission);
      entries.push({ key: mission.mission_id, mission });
    }
  }
  for (const mission of roots.values()) if (!shown.has(mission)) entries.push({ key: mission.mission_id, mission });
  return entries;
}

/**
 * Where a message or a mission stands: what is part of a mission stands where that does.
 * @param {Chat} chat @param {string} id of a message or a mission
 * @returns {string | null} an entry's key
 */
export function keyOf(chat, id) {
  const keys = new Set(timeline(chat).map(({ key }) => key));
  const behind = chat.messages.find(({ message_id }) => message_id === id)?.mission_id ?? "";
  return [id, behind].find((key) => keys.has(key)) ?? null;
}

/** @param {Message} message @param {Mission} mission @returns {boolean} whether it answered a question of the mission */
function isAnswer({ content }, { interrupts }) {
  return interrupts.some(({ kind, answer }) => kind === "clarification" && answer === content);
}

/** @param {Chat} chat @param {string} mission_id @returns {Mission[]} its children, oldest first */
export function childrenOf(chat, mission_id) {
  return chat.missions.filter((mission) => mission.parent_id === mission_id);
}

/** @param {Chat} chat @returns {Interrupt[]} the questions that are open, oldest first */
export function openInterrupts(chat) {
  return chat.missions.flatMap((mission) => mission.interrupts.filter(({ status }) => status === "pending"));
}

/** @param {Chat} chat @returns {Mission[]} root missions that have not ended */
export function activeMissions(chat) {
  return chat.missions.filter((mission) => !mission.parent_id && mission.state !== "ended");
}

/** Midnight of the day `days` before `now`; days are not all 24 hours long. @param {number} now @param {number} days */
function midnight(now, days) {
  const date = new Date(now);
  date.setDate(date.getDate() - days);
  return date.setHours(0, 0, 0, 0);
}

/**
 * Sessions by date, newest activity first.
 * @param {Iterable<Session>} sessions
 * @param {number} now
 * @param {(session: Session) => boolean} keep
 * @returns {{label: string, sessions: Session[]}[]} groups that are not empty
 */
export function sessionsByDate(sessions, now, keep) {
  const groups = [
    { label: "Today", from: midnight(now, 0) },
    { label: "Yesterday", from: midnight(now, 1) },
    { label: "Previous 7 days", from: midnight(now, 7) },
    { label: "Older", from: -Infinity },
  ].map((group) => ({ ...group, sessions: /** @type {Session[]} */ ([]) }));
  const sorted = [...sessions].filter(keep).sort((a, b) => b.last_activity.localeCompare(a.last_activity));
  for (const session of sorted) {
    const at = Date.parse(session.last_activity);
    groups.find(({ from }) => at >= from)?.sessions.push(session);
  }
  return groups.filter((group) => group.sessions.length).map(({ label, sessions: list }) => ({ label, sessions: list }));
}
