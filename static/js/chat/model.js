/**
 * What the chat page knows, as plain immutable values: the reducers make new ones, the components compare by
 * identity and draw only what changed. Names are the wire's.
 */

/** @typedef {import("../wire/deltas.js").StreamedText} StreamedText */

/**
 * @typedef {object} Session
 * @property {string} session_id
 * @property {string | null} title
 * @property {string} created_at
 * @property {string} last_activity
 * @property {string | null} archived_at
 * @property {string | null} deleted_at
 * @property {number} message_count
 */

/**
 * @typedef {object} Message
 * @property {string} message_id
 * @property {string} session_id
 * @property {"user" | "assistant"} role
 * @property {string} content
 * @property {string | null} [mission_id]
 * @property {string} created_at
 * @property {string | null} [edited_at]
 * @property {string | null} [deleted_at]
 */

/**
 * @typedef {object} Step
 * @property {string} step number, hierarchical under `parallel`: `3`, `4.1.2`
 * @property {string} kind
 * @property {string} name
 * @property {unknown} input
 * @property {unknown} output
 * @property {{code?: string, message?: string} | null} error
 * @property {"running" | "done" | "failed" | "retrying" | "unfinished"} state
 * @property {number} attempt
 * @property {string} started_at
 * @property {number | null} duration_ms
 * @property {Record<string, number> | null} usage
 * @property {number | null} size whole size of what is shown cut
 */

/** @typedef {import("../ui/interrupts.js").Interrupt} Interrupt */

/**
 * Something that happened in a mission and is neither a step nor a question.
 * @typedef {object} Note
 * @property {number} offset
 * @property {"progress" | "quota" | "recovered" | "preempted" | "artifact"} kind
 * @property {string} text
 * @property {string} at
 * @property {{url: string, media_type: string, size: number, name: string}} [artifact]
 */

/**
 * @typedef {object} Mission
 * @property {string} mission_id
 * @property {string} session_id
 * @property {string | null} parent_id
 * @property {string} mission its text
 * @property {string} agent
 * @property {string} priority
 * @property {Record<string, any>} quota
 * @property {"new" | "queued" | "running" | "waiting" | "blocked" | "paused" | "ended"} state
 * @property {string | null} cause why it waits
 * @property {number | null} position place in the queue
 * @property {"completed" | "failed" | "cancelled" | "timed_out" | "quota_exceeded" | null} outcome
 * @property {unknown} result
 * @property {{code?: string, message?: string} | null} error
 * @property {string | null} reason
 * @property {string | null} by who cancelled or paused it
 * @property {Record<string, any> | null} usage
 * @property {string} submitted_at
 * @property {string | null} started_at
 * @property {number | null} duration_ms
 * @property {number} attempt
 * @property {{resource: string, used: number, limit: number} | null} exceeded the limit it met last
 * @property {Step[]} steps in the order in which they began
 * @property {Interrupt[]} interrupts in the order in which they were raised
 * @property {Note[]} notes
 * @property {Readonly<Record<string, StreamedText>>} streams text that streams in, by step; `""` is outside a step
 */

/**
 * One session's transcript. Events that come while it is not open are kept and applied in offset order once the
 * replay that fills the rest has ended.
 * @typedef {object} Chat
 * @property {string} session_id
 * @property {"closed" | "loading" | "open" | "missing"} state
 * @property {import("../wire/types.js").TowerEvent[]} backlog
 * @property {number} offset the last one applied
 * @property {Message[]} messages
 * @property {Mission[]} missions
 */

/**
 * @typedef {object} Model
 * @property {Readonly<Record<string, Session>>} sessions
 * @property {Readonly<Record<string, Chat>>} chats
 * @property {Readonly<Record<string, string>>} waiting session id by the id of each open question
 */

/** @type {Model} */
export const EMPTY_MODEL = Object.freeze({ sessions: {}, chats: {}, waiting: {} });

/** @param {string} session_id @returns {Chat} */
export function emptyChat(session_id) {
  return { session_id, state: "closed", backlog: [], offset: 0, messages: [], missions: [] };
}

/** @param {string} mission_id @param {string} session_id @param {string} at @returns {Mission} */
export function emptyMission(mission_id, session_id, at) {
  return {
    ...{ mission_id, session_id, parent_id: null, mission: "", agent: "", priority: "normal", quota: {} },
    ...{ state: "new", cause: null, position: null, outcome: null, result: null, error: null, reason: null, by: null },
    ...{ usage: null, submitted_at: at, started_at: null, duration_ms: null, attempt: 1, exceeded: null },
    ...{ steps: [], interrupts: [], notes: [], streams: {} },
  };
}

/**
 * A copy of a list in which the last item with this value under `key` is replaced; without one, the new item is
 * appended. A plain loop: it runs for every event, over lists of thousands.
 * @template T
 * @template {keyof T} K
 * @param {T[]} list
 * @param {K} key
 * @param {T[K]} value
 * @param {(item: T | undefined) => T} change
 * @returns {T[]}
 */
export function upsert(list, key, value, change) {
  let index = list.length - 1;
  while (index >= 0 && list[index][key] !== value) index -= 1;
  const copy = list.slice();
  copy[index < 0 ? list.length : index] = change(list[index]);
  return copy;
}
