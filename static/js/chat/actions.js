/** What a person can do on the page; each shows why when it did not work. */

import { signal } from "@preact/signals-core";
import { readOutbox, writeDraft, writeOutbox } from "./drafts.js";
import { tower } from "../ui/connection.js";
import { download, fetchRest } from "../ui/rest.js";
import { report, toast } from "../ui/toast.js";
import { go, goToNew, model, sessionId } from "./store.js";
import { mergeSessions } from "./reduce.js";

/** @typedef {import("./drafts.js").Outgoing} Outgoing */

/** Messages on their way. @type {import("@preact/signals-core").Signal<Outgoing[]>} */
export const outbox = signal([]);

/** Text that another part of the page puts into the composer. @type {import("@preact/signals-core").Signal<string | null>} */
export const composerText = signal(null);

/** Sends again what a reload cut off; the keys keep it from counting twice. */
export function resumeOutbox() {
  outbox.value = readOutbox(sessionStorage);
  for (const outgoing of outbox.value) void deliver(outgoing);
}

/** @param {string} text @param {string | null} [session_id] @param {string} [agent] without: the default one */
export function send(text, session_id = sessionId.value, agent) {
  const outgoing = { key: crypto.randomUUID(), session_id, text, ...(agent && { agent }) };
  writeDraft(localStorage, session_id, "");
  setOutbox([...outbox.value, outgoing]);
  return deliver(outgoing);
}

/** @param {Outgoing} outgoing */
export function resend(outgoing) {
  const again = { ...outgoing, error: undefined };
  setOutbox(outbox.value.map((one) => (one.key === outgoing.key ? again : one)));
  return deliver(again);
}

/** Takes a refused message back into the composer. @param {Outgoing} outgoing */
export function takeBack(outgoing) {
  setOutbox(outbox.value.filter((one) => one.key !== outgoing.key));
  composerText.value = outgoing.text;
}

/** @param {Outgoing} outgoing */
async function deliver({ key, session_id, text, agent }) {
  const params = { message: text, idempotency_key: key, subscribe: false, ...(session_id && { session_id }), ...(agent && { agent }) };
  try {
    const sent = await tower.call("message.send", params, { timeoutMs: 0 });
    settle(key, { message_id: sent.message_id, session_id: sent.session_id });
    if (!session_id && sessionId.value === null) goToNew(sent.session_id);
  } catch (error) {
    settle(key, { error: /** @type {Error} */ (error).message });
  }
}

/** @param {string} key @param {Partial<Outgoing>} change */
function settle(key, change) {
  setOutbox(outbox.value.map((one) => (one.key === key ? { ...one, ...change } : one)));
}

/** @param {Outgoing[]} next */
function setOutbox(next) {
  const known = new Set(Object.values(model.value.chats).flatMap((chat) => chat.messages.map(({ message_id }) => message_id)));
  outbox.value = next.filter(({ message_id }) => !message_id || !known.has(message_id));
  writeOutbox(sessionStorage, outbox.value);
}

/** @param {string} method @param {Record<string, unknown>} params @returns {Promise<any>} undefined when it failed, which was shown */
async function attempt(method, params) {
  try {
    return await tower.call(method, params);
  } catch (error) {
    return toast(/** @type {Error} */ (error).message);
  }
}

/** @param {string} mission_id */
export const stop = (mission_id) => attempt("mission.cancel", { mission_id, reason: "stopped in the chat" });
/** @param {string} mission_id */
export const resume = (mission_id) => attempt("mission.resume", { mission_id });

/** @param {string} session_id @param {string} title */
export async function rename(session_id, title) {
  listed(await attempt("session.update", { session_id, title }));
}

/** @param {string} session_id @param {boolean} archived */
export async function archive(session_id, archived) {
  listed(await attempt("session.update", { session_id, archived }));
  if (!archived) return;
  toast("Archived.", "info", { label: "Undo", run: () => void archive(session_id, false) });
}

/** Deletes softly, and offers to take it back. @param {string} session_id */
export async function remove(session_id) {
  try {
    await tower.call("session.delete", { session_id });
  } catch (error) {
    return report(error);
  }
  const { [session_id]: gone, ...sessions } = model.value.sessions;
  model.value = { ...model.value, sessions };
  if (sessionId.value === session_id) go(null);
  return toast("Deleted.", "info", { label: "Undo", run: () => void restore(session_id) });
}

/** @param {string} session_id */
async function restore(session_id) {
  try {
    const response = await fetchRest("POST", `/api/v1/chat/sessions/${encodeURIComponent(session_id)}/restore`);
    listed(await response.json());
    go(session_id);
  } catch (error) {
    toast(/** @type {Error} */ (error).message);
  }
}

/** @param {string} session_id @param {"json" | "md" | "txt"} format */
export async function exportSession(session_id, format) {
  try {
    await download(`/api/v1/chat/sessions/${encodeURIComponent(session_id)}/export`, `${session_id}.${format}`, { format });
  } catch (error) {
    toast(/** @type {Error} */ (error).message);
  }
}

/** @param {any} session */
function listed(session) {
  if (session?.session_id) model.value = mergeSessions(model.value, [session]);
}
