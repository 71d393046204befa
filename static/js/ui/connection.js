/**
 * A page's one connection, as signals. Every page makes exactly one, through this module; what it does with the
 * events is the page's own store.
 */

import { signal } from "@preact/signals-core";
import { TowerClient } from "../client.js";
import { token } from "./token.js";

export const tower = new TowerClient({
  url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`,
  token,
  client: `web${location.pathname === "/" ? "-chat" : location.pathname.replace(/\W+/g, "-")}`,
});

export const status = signal(tower.status);
/** The server's first answer: who this person is, and what they may do. @type {import("@preact/signals-core").Signal<import("../client.js").Hello | null>} */
export const hello = signal(null);
/** Seconds that tick, for what counts down. */
export const now = signal(Date.now());

/** @type {() => void} */ let whenIn = () => {};

/**
 * Connects with the token at hand, and keeps the signals true.
 * @param {() => void} signedIn what the page asks for once it knows who it is for; again after a later sign-in
 */
export function start(signedIn) {
  whenIn = signedIn;
  tower.on("status", (next) => (status.value = next));
  for (const change of ["online", "offline"]) addEventListener(change, () => tower.retryNow());
  document.addEventListener("visibilitychange", () => document.hidden || tower.retryNow());
  setInterval(() => (now.value = Date.now()), 1_000);
  void signIn();
}

/** Connects with the token at hand, after one was given or when the person asks for it. */
export async function signIn() {
  try {
    hello.value = await tower.connect();
  } catch {
    return; // The status says so, and the page asks for a token or offers to try again.
  }
  whenIn();
}

/** Whether this person may only look. */
export function looksOnly() {
  return hello.value?.role === "viewer";
}

/** Whether this person may act on what belongs to nobody, as a tool's breaker. */
export function operates() {
  return hello.value?.role === "operator";
}
