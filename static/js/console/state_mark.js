/** A process's state by an icon and a word, so that no colour is needed to read it. */

import { html } from "lit";
import { icon } from "../ui/icons.js";

/** @type {Readonly<Record<string, {mark: "play" | "clock" | "hand" | "lock" | "pause" | "plus", word: string}>>} */
const STATES = Object.freeze({
  new: { mark: "plus", word: "new" },
  ready: { mark: "clock", word: "ready" },
  running: { mark: "play", word: "running" },
  waiting: { mark: "hand", word: "waiting" },
  blocked: { mark: "lock", word: "blocked" },
  paused: { mark: "pause", word: "paused" },
});

/** @type {Readonly<Record<string, {mark: "check" | "cross" | "stop", word: string}>>} */
const OUTCOMES = Object.freeze({
  completed: { mark: "check", word: "completed" },
  failed: { mark: "cross", word: "failed" },
  cancelled: { mark: "stop", word: "cancelled" },
  timed_out: { mark: "cross", word: "timed out" },
  quota_exceeded: { mark: "cross", word: "over quota" },
});

/** @param {string} state @param {string | null} [outcome] */
export function stateMark(state, outcome) {
  const { mark, word } = (state === "terminated" ? OUTCOMES[outcome ?? "failed"] : STATES[state]) ?? STATES.new;
  return html`<span class="state" data-state=${state === "terminated" ? (outcome ?? "failed") : state}>${icon(mark)}<span>${word}</span></span>`;
}

/** @param {string} state */
export function stateWord(state) {
  return state === "terminated" ? "ended" : (STATES[state]?.word ?? state);
}
