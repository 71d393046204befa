/** `<ct-vitals>`: the server at a glance: slots, queue, events, each over the last five minutes. */

import { html } from "lit";
import { icon } from "../ui/icons.js";
import { sparkline } from "../ui/share.js";
import { define, View } from "../ui/view.js";
import { SAMPLES } from "./samples.js";
import { samples, status } from "./store.js";

class Vitals extends View {
  render() {
    const answer = status.value;
    const last = samples.value.at(-1);
    const slots = answer?.slots ?? {};
    const limit = (slots.running ?? 0) + (slots.free ?? 0);
    const people = (answer?.processes?.waiting ?? 0).toLocaleString("en");
    return html`<section class="vitals" aria-label="Vitals">
      ${vital("Slots", last ? `${last.running} of ${limit}` : "–", "running")}
      ${vital("Queue", last ? last.queued.toLocaleString("en") : "–", "queued")}
      ${vital("Events", last ? `${Math.round(last.events).toLocaleString("en")} /s` : "–", "events")}
      <div class="vital"><span class="label">Waiting for people</span><b>${answer ? people : "–"}</b></div>
      <div class="vital"><span class="label">Connections</span><b>${answer ? (answer.clients ?? []).length.toLocaleString("en") : "–"}</b></div>
      ${answer?.draining ? html`<p class="alarm">${icon("pause")} Draining: nothing new is taken.</p>` : ""}
      ${(answer?.loop_blocked ?? []).length ? html`<p class="alarm" title=${JSON.stringify(answer?.loop_blocked)}>${icon("hand")} The event loop was blocked ${blocked(answer?.loop_blocked)}.</p>` : ""}
    </section>`;
  }
}

/** @param {any[]} blocks */
function blocked(blocks) {
  const { agent, tool, name } = blocks.at(-1) ?? {};
  return agent || tool || name ? `by ${agent ?? tool ?? name}` : "a moment";
}

/** @param {string} name @param {string} value @param {"running" | "queued" | "events"} of */
function vital(name, value, of) {
  const line = samples.value.map((sample) => sample[of]);
  const most = Math.round(Math.max(0, ...line)).toLocaleString("en");
  return html`<div class="vital"><span class="label">${name}</span><b>${value}</b>${sparkline(line, SAMPLES, `${name} over five minutes, at most ${most}`)}</div>`;
}

define("ct-vitals", Vitals);
