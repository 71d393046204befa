/** `<ct-status>`: how the connection is, in words and by a mark, with a way to try now. */

import { html } from "lit";
import { define, View } from "./view.js";
import { now, signIn, status, tower } from "./connection.js";

class ConnectionStatus extends View {
  render() {
    const { state, retryAt, reason } = status.value;
    const waits = state === "reconnecting" || state === "offline";
    return html`<div class="status" data-state=${state} title=${reason}>
      <span class="dot" aria-hidden="true"></span>
      <span>${this.#words()}</span>
      ${waits && retryAt ? html`<button class="link" type="button" @click=${() => tower.retryNow()}>Try now</button>` : ""}
      ${state === "closed" ? html`<button class="link" type="button" @click=${signIn}>Connect</button>` : ""}
    </div>`;
  }

  #words() {
    const { state, retryAt } = status.value;
    if (state === "closed") return "not connected";
    if (state !== "reconnecting" || retryAt === null) return state === "reconnecting" ? "reconnecting…" : state;
    return `reconnecting in ${Math.max(0, Math.ceil((retryAt - Math.max(now.value, Date.now())) / 1_000))} s`;
  }
}

define("ct-status", ConnectionStatus);
