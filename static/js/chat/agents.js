/** The agents that a mission can be given to. */

import { signal } from "@preact/signals-core";
import { fetchRest } from "../ui/rest.js";
import { choicesOf } from "./agent_choice.js";

/** @type {import("@preact/signals-core").Signal<import("./agent_choice.js").Agent[]>} */
export const choices = signal([]);

/** Reads them from the server. Without an answer everything goes to its default agent. */
export async function listAgents() {
  try {
    const response = await fetchRest("GET", "/api/v1/agents");
    choices.value = choicesOf((await response.json()).agents);
  } catch {
    choices.value = [];
  }
}
