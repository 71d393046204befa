/**
 * What a person wrote and has not been acknowledged yet. A draft belongs to a session and outlives the browser; a
 * message on its way belongs to this tab, with its idempotency key, so that a reload sends it again and it still
 * counts once. Pure but for the storage it is given.
 */

/**
 * A message on its way.
 * @typedef {object} Outgoing
 * @property {string} key idempotency key
 * @property {string | null} session_id null for a new session
 * @property {string} text
 * @property {string} [agent] who is asked; without: the default agent
 * @property {string} [error] why it was refused
 * @property {string} [message_id] once acknowledged, until its event is there
 */

const OUTBOX = "tower.outbox";

/** @param {string | null} session_id */
const draftKey = (session_id) => `tower.draft.${session_id ?? "new"}`;

/** @param {Storage} storage @param {string | null} session_id @returns {string} */
export function readDraft(storage, session_id) {
  return storage.getItem(draftKey(session_id)) ?? "";
}

/** @param {Storage} storage @param {string | null} session_id @param {string} text */
export function writeDraft(storage, session_id, text) {
  try {
    if (text) storage.setItem(draftKey(session_id), text);
    else storage.removeItem(draftKey(session_id));
  } catch {
    // A full or forbidden storage costs the draft after a reload, not the writing.
  }
}

/** @param {Storage} storage @returns {Outgoing[]} */
export function readOutbox(storage) {
  try {
    const outbox = JSON.parse(storage.getItem(OUTBOX) ?? "[]");
    return Array.isArray(outbox) ? outbox.filter(({ key, text }) => typeof key === "string" && typeof text === "string") : [];
  } catch {
    return [];
  }
}

/** @param {Storage} storage @param {Outgoing[]} outbox */
export function writeOutbox(storage, outbox) {
  const unacknowledged = outbox.filter(({ message_id, error }) => !message_id && !error);
  try {
    storage.setItem(OUTBOX, JSON.stringify(unacknowledged));
  } catch {
    // As above.
  }
}
