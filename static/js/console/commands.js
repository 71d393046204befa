/** What an operator does to processes: to one at once, to many at a pace that the server takes. */

import { tower } from "../ui/connection.js";
import { counted } from "../ui/format.js";
import { report, toast } from "../ui/toast.js";
import { PRIORITIES } from "./row.js";
import { processes, take } from "./store.js";

/** @typedef {import("../client.js").RpcError} RpcError */
/** @typedef {"cancel" | "pause" | "resume"} Verb */

/** So many commands are on their way at once. */
const ABREAST = 8;
const DONE = Object.freeze({ cancel: "Cancelled", pause: "Paused", resume: "Resumed" });
const SETTABLE = Object.freeze([...PRIORITIES]);

/**
 * Does the same to each, and says how it went.
 * @param {Verb} verb
 * @param {string[]} ids
 * @param {string} reason
 * @param {(done: number) => void} [tell] how many are done
 */
export async function commandAll(verb, ids, reason, tell = () => {}) {
  const call = (/** @type {string} */ mission_id) => tower.call(`mission.${verb}`, { mission_id, ...(reason && { reason }) });
  sayHowItWent(DONE[verb], await forEach(ids, call, tell));
}

/** Raises or lowers the priority of each by one. @param {string[]} ids @param {1 | -1} by */
export async function shiftPriority(ids, by) {
  const call = (/** @type {string} */ mission_id) => {
    const at = SETTABLE.indexOf(processes.rows.get(mission_id)?.priority ?? "normal");
    const priority = SETTABLE[at - by];
    return priority ? tower.call("mission.set_priority", { mission_id, priority }) : Promise.resolve();
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

/** @typedef {{done: number, failures: RpcError[]}} Outcome */

/**
 * @param {string[]} ids
 * @param {(id: string) => Promise<any>} call
 * @param {(done: number) => void} tell
 * @returns {Promise<Outcome>}
 */
async function forEach(ids, call, tell) {
  const left = [...ids];
  /** @type {Outcome} */ const outcome = { done: 0, failures: [] };
  const worker = async () => {
    for (let id = left.shift(); id; id = left.shift()) {
      try {
        take(await patiently(() => call(/** @type {string} */ (id))));
        outcome.done += 1;
      } catch (error) {
        outcome.failures.push(/** @type {RpcError} */ (error));
      }
      tell(outcome.done + outcome.failures.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(ABREAST, ids.length) }, worker));
  return outcome;
}

/** The server says when it takes more; until then a command waits. @param {() => Promise<any>} call */
async function patiently(call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const { code, retryAfterS } = /** @type {RpcError} */ (error);
      if (code !== "rate_limited") throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000 * (retryAfterS ?? 1)));
    }
  }
}

/** @param {string} verb @param {Outcome} outcome */
function sayHowItWent(verb, { done, failures }) {
  if (!failures.length) return toast(`${verb} ${counted(done, "mission")}.`, "info");
  const why = [...new Set(failures.map(({ message }) => message))].join(" ");
  return toast(`${done ? `${verb} ${counted(done, "mission")}; ` : ""}${counted(failures.length, "mission")} could not be: ${why}`);
}
