/** Things that are shown in part, opened whole. */

import { download, fetchRest } from "../ui/rest.js";
import { toast } from "../ui/toast.js";

/** @param {string} url @param {string} name */
export async function fetchWhole(url, name) {
  try {
    await download(url, name);
  } catch (error) {
    toast(/** @type {Error} */ (error).message);
  }
}

/** @param {string} mission_id @param {string} step @returns {Promise<Record<string, any> | null>} the step's record */
export async function wholeStep(mission_id, step) {
  try {
    const response = await fetchRest("GET", `/api/v1/missions/${encodeURIComponent(mission_id)}/steps/${encodeURIComponent(step)}`);
    return await response.json();
  } catch (error) {
    toast(/** @type {Error} */ (error).message);
    return null;
  }
}
