/** Which agent a mission goes to. Pure. */

/** @typedef {{name: string, description: string, default: boolean}} Agent */

/** What every server has: one serves by default, `echo` is for measuring, `react` wants a model. */
const BUILT_IN = new Set(["demo", "echo", "react"]);

/** @param {Agent[]} agents @returns {Agent[]} those to choose from: none where an app brought no other */
export function choicesOf(agents) {
  return agents.some(({ name }) => !BUILT_IN.has(name)) ? agents : [];
}

/**
 * The agent of the next mission: the one that was picked, else who worked in this session last, else the default.
 * @param {Agent[]} agents @param {string | null} picked @param {string | undefined} last
 * @returns {string | undefined} undefined where there is no choice
 */
export function nextAgent(agents, picked, last) {
  const known = [picked, last].find((name) => agents.some((agent) => agent.name === name));
  return known ?? agents.find((agent) => agent.default)?.name;
}
