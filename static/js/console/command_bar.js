/** The buttons for what is chosen; they do what the keys do. */

import { html } from "lit";
import { icon } from "../ui/icons.js";
import { commandAll, shiftPriority } from "./commands.js";
import { ask } from "./dialogs.js";
import { chosen, tagAll, tagged, untag } from "./selection.js";
import { lines, processes } from "./store.js";
import { keysOpen } from "./dialogs.js";

export function commandBar() {
  const ids = chosen();
  const many = tagged.value.size > 0;
  const paused = ids.filter((id) => processes.rows.get(id)?.state === "paused");
  const running = ids.filter((id) => !paused.includes(id));
  const pause = () => (many ? ask("pause", running) : commandAll("pause", running, ""));
  const resume = () => (many ? ask("resume", paused) : commandAll("resume", paused, ""));
  return html`<div class="bar commands" role="group" aria-label="Commands">
    <span class="chosen">${many ? html`<b>${tagged.value.size}</b> tagged` : ids.length ? "1 chosen" : "none chosen"}</span>
    <button class="button small" type="button" ?disabled=${!ids.length} @click=${() => ask("cancel", ids)}>${icon("cross")} Cancel</button>
    ${paused.length && !running.length
      ? html`<button class="button small" type="button" @click=${resume}>${icon("play")} Resume</button>`
      : html`<button class="button small" type="button" ?disabled=${!running.length} @click=${pause}>${icon("pause")} Pause</button>`}
    ${paused.length && running.length ? html`<button class="button small" type="button" @click=${resume}>${icon("play")} Resume ${paused.length}</button>` : ""}
    <button class="button small" type="button" ?disabled=${!ids.length} @click=${() => shiftPriority(ids, 1)}>${icon("down", "up")} Raise</button>
    <button class="button small" type="button" ?disabled=${!ids.length} @click=${() => shiftPriority(ids, -1)}>${icon("down")} Lower</button>
    <span class="apart"></span>
    ${many
      ? html`<button class="button ghost small" type="button" @click=${untag}>Untag</button>`
      : html`<button class="button ghost small" type="button" ?disabled=${!lines.value.length} @click=${tagAll}>Tag all ${lines.value.length.toLocaleString("en")}</button>`}
    <button class="button ghost small" type="button" @click=${() => (keysOpen.value = true)}>${icon("keyboard")} Keys</button>
  </div>`;
}
