/** Connections, and how far behind each is. */

import { html } from "lit";
import { bytes, counted } from "../ui/format.js";
import { hello } from "../ui/connection.js";
import { clientsOf } from "./samples.js";
import { status } from "./store.js";

const SHOWN = 200;

export function clientList() {
  if (!status.value) return html`<p class="hint">Loading</p>`;
  const clients = clientsOf(status.value);
  return html`<p class="hint">The log is at event ${(status.value.offset ?? 0).toLocaleString("en")}. Those that are farthest behind come first.</p>
    <ul class="list">
      ${clients.slice(0, SHOWN).map(clientItem)}
    </ul>
    ${clients.length > SHOWN ? html`<p class="hint">and ${counted(clients.length - SHOWN, "connection")} more</p>` : ""}`;
}

/** @param {ReturnType<typeof clientsOf>[number]} client */
function clientItem({ connection_id, user_id, topics, behind, buffered_bytes }) {
  const mine = connection_id === hello.value?.connection_id;
  return html`<li class="item">
    <div class="item-head">
      <span class="item-name">${user_id ?? "not signed in"}${mine ? " (this page)" : ""}</span>
      <span class="health" data-status=${behind > 1_000 ? "degraded" : "calm"}>${behind ? `${behind.toLocaleString("en")} behind` : topics.length ? "up to date" : "no topics"}</span>
    </div>
    <p class="facts"><code>${connection_id}</code>${buffered_bytes ? ` · ${bytes(buffered_bytes)} waiting` : ""}</p>
    ${topics.length ? html`<p class="facts topics">${topics.slice(0, 4).join(", ")}${topics.length > 4 ? ` and ${topics.length - 4} more` : ""}</p>` : ""}
  </li>`;
}
