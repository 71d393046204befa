/** Submit and await the end, for bots: one promise over any number of drops and restarts. */

import { deferred } from "./env.js";

/** @typedef {import("../client.js").TowerClient} TowerClient */

/** The event types that end a mission. */
export const TERMINAL_TYPES = Object.freeze(
  new Set(["completed", "failed", "cancelled", "timed_out", "quota_exceeded"].map((end) => `mission.${end}`)),
);

/**
 * The mission's process control block once it has ended. Its events tell; where events may be missing (a gap, a
 * replaced log, a submit that was answered before) the server is asked.
 * @param {TowerClient} tower
 * @param {string} mission
 * @param {Record<string, unknown>} params more of `mission.submit`
 * @returns {Promise<Record<string, any>>}
 */
export async function runMission(tower, mission, params) {
  /** @type {Set<string | undefined>} */ const ended = new Set();
  /** @type {import("./env.js").Deferred<void>} */ const over = deferred();
  let id = "";
  const look = async () => {
    const block = await tower.call("mission.get", { mission_id: id }, { timeoutMs: 0 });
    if (block.state === "terminated") over.resolve(undefined);
  };
  const lookSafely = () => void (id && look().catch(over.reject));
  const stops = [
    tower.on("event", (event) => {
      if (!TERMINAL_TYPES.has(event.type)) return;
      ended.add(event.mission_id);
      if (event.mission_id === id) over.resolve(undefined);
    }),
    tower.on("gap", lookSafely),
    tower.on("reset", lookSafely),
  ];
  try {
    const submitted = await tower.call("mission.submit", { ...params, mission, subscribe: true }, { timeoutMs: 0 });
    id = submitted.mission_id;
    if (!ended.has(id)) {
      if (submitted.duplicate) lookSafely();
      await over.promise;
    }
    return await tower.call("mission.get", { mission_id: id }, { timeoutMs: 0 });
  } finally {
    for (const stop of stops) stop();
  }
}
