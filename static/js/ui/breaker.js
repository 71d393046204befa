/** Closes a tool's breaker, for operators. */

import { fetchRest } from "./rest.js";
import { report, toast } from "./toast.js";

/** @param {string} tool */
export async function resetBreaker(tool) {
  try {
    await fetchRest("POST", `/api/v1/governance/tools/${encodeURIComponent(tool)}/reset`);
    toast(`The breaker of ${tool} is closed.`, "info");
  } catch (error) {
    report(error);
  }
}
