/** Types of the public client. Nothing runs here. */

/** @typedef {import("./topics.js").Since} Since */
/** @typedef {import("./topics.js").TopicOptions} TopicOptions */
/** @typedef {import("./errors.js").RpcError} RpcError */

/**
 * An event as it came over the wire. Ephemeral ones (`llm.delta`, `replay.done`, `tower.draining`) have no offset.
 * @typedef {object} TowerEvent
 * @property {number} [offset]
 * @property {string} type
 * @property {string} at RFC 3339, UTC
 * @property {string} [session_id]
 * @property {string} [mission_id]
 * @property {string} [user_id]
 * @property {Record<string, any>} data
 */

/**
 * @typedef {object} Status
 * @property {"connecting" | "live" | "reconnecting" | "offline" | "closed"} state `offline`: this machine has no
 *   network (it is still tried, slowly); `closed`: it will not try again by itself
 * @property {number | null} retryAt when the next try is, in the clock's time; null while trying, and when not at all
 * @property {number} attempt tries since it was last live
 * @property {number | null} code the close code that ended the last connection
 * @property {string} reason the same in words
 */

/**
 * The server's answer to `hello`.
 * @typedef {object} Hello
 * @property {string} connection_id
 * @property {string} user_id
 * @property {string} role
 * @property {string} server
 * @property {string} version
 * @property {string} epoch
 * @property {number} offset
 * @property {number} heartbeat_s
 * @property {Record<string, any>} limits
 */

/**
 * The server's answer to `subscribe`.
 * @typedef {object} Subscribed
 * @property {string[]} topics
 * @property {string} epoch
 * @property {number} offset
 * @property {boolean} recovered
 * @property {string} [reason]
 * @property {number} [floor]
 * @property {{missions: Record<string, any>[]}} [snapshot]
 */

/**
 * What `on()` can listen to.
 * @typedef {object} Notifications
 * @property {TowerEvent} event every new event, durable and ephemeral
 * @property {Status} status
 * @property {{topics: string[], since: Since, result: Subscribed}} subscribed also after each reconnect
 * @property {{epoch: string}} reset the log was replaced: forget everything; topics follow again from where they
 *   were first subscribed
 * @property {{topics: string[], floor: number | undefined, result: Subscribed}} gap events are missing: reload these
 * @property {{topics: string[], error: RpcError}} lost topics that the server gives us no more
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now
 * @property {(callback: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/**
 * @typedef {object} Options
 * @property {string} url `ws://…/ws`
 * @property {string | (() => string | undefined)} [token] sent in `hello`; a function is asked at each connect, and
 *   once more when what it gave is refused and it has another
 * @property {string} [userId] another user's name, where the server allows it
 * @property {string} [client] what this client calls itself
 * @property {string[]} [protocols] default `["tower.v1"]`
 * @property {new (url: string, protocols?: string[]) => WebSocket} [WebSocket] for Node and tests
 * @property {() => boolean} [online] whether this machine has a network
 * @property {Clock} [clock] for tests
 * @property {() => number} [random] for tests
 * @property {() => string} [uuid] makes idempotency keys
 */

/**
 * @typedef {object} CallOptions
 * @property {number} [timeoutMs] from now, reconnects included; default 60 000, 0 for no limit
 * @property {AbortSignal} [signal] gives up waiting; the command itself is not undone
 */

export {};
