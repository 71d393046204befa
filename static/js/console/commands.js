/** What an operator does to processes: to one at once, to many at a pace that the server takes. */

import { tower } from "../ui/connection.js";
import { counted } from "../ui/format.js";
import { report, toast } from "../ui/toast.js";
import { forEach } from "./pace.js";
import { PRIORITIES } from "./row.js";
import { processes, take } from "./store.js";

/** @typedef {import("./pace.js").Outcome} Outcome */
/** @typedef {"cancel" | "pause" | "resume"} Verb */

const DONE = Object.freeze({ cancel: "Cancelled", pause: "Paused", resume: "Resumed" });

/**
 * Does the same to each, and says how it went.
 * @param {Verb} verb
 * @param {string[]} ids
 * @param {string} reason
 * @param {(done: number) => void} [tell] how many are done
 */
export async function commandAll(verb, ids, reason, tell = () => {}) {
  const call = async (/** @type {string} */ mission_id) => take(await tower.call(`mission.${verb}`, { mission_id, ...(reason && { reason }) }));
  sayHowItWent(DONE[verb], await forEach(ids, call, tell));
}

/** Raises or lowers the priority of each by one. @param {string[]} ids @param {1 | -1} by */
export async function shiftPriority(ids, by) {
  const call = async (/** @type {string} */ mission_id) => {
    const at = PRIORITIES.indexOf(processes.rows.get(mission_id)?.priority ?? "normal");
    const priority = PRIORITIES[at - by];
    if (priority) take(await tower.call("mission.set_priority", { mission_id, priority }));
  };
  const outcome = await forEach(ids, call, () => {});
  if (ids.length > 1 || outcome.failures.length) sayHowItWent(by > 0 ? "Raised" : "Lowered", outcome);
}

/** @param {string} mission_id @param {string} resource as in a quota, `max_tool_calls` @param {number} amount to add */
export async function extendQuota(mission_id, resource, amount) {
  try {
    take(await tower.call("mission.extend_quota", { mission_id, quota: { [resource]: amount } }));
  } catch (error) {
    report(error);
  }
}

/** @param {string} verb @param {Outcome} outcome */
function sayHowItWent(verb, { done, failures }) {
  if (!failures.length) return toast(`${verb} ${counted(done, "mission")}.`, "info");
  const why = [...new Set(failures.map(({ message }) => message))].join(" ");
  return toast(`${done ? `${verb} ${counted(done, "mission")}; ` : ""}${counted(failures.length, "mission")} could not be: ${why}`);
}
