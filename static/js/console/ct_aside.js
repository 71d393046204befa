/** `<ct-aside>`: beside the table: the chosen mission, tools, clients, nodes. */

import { html } from "lit";
import { signal } from "@preact/signals-core";
import { define, View } from "../ui/view.js";
import { clientList } from "./client_list.js";
import "./ct_mission_panel.js";
import { nodeList } from "./node_list.js";
import { cursor } from "./selection.js";
import { status, tools } from "./store.js";
import { toolList } from "./tool_list.js";

/** @typedef {"mission" | "tools" | "clients" | "nodes"} Tab */

const open = signal(/** @type {Tab} */ ("mission"));

class Aside extends View {
  constructor() {
    super();
    /** The mission chosen when it was drawn last. @type {string | null} */ this.shown = null;
  }

  render() {
    const resting = (tools.value ?? []).filter(({ breaker, status: health }) => breaker !== "closed" || health === "unhealthy").length;
    /** @type {readonly {tab: Tab, name: string, count?: number | string}[]} */
    const tabs = [
      { tab: "mission", name: "Mission" },
      { tab: "tools", name: "Tools", count: resting ? `${resting} !` : undefined },
      { tab: "clients", name: "Clients", count: status.value?.clients?.length },
      { tab: "nodes", name: "Nodes", count: status.value?.nodes?.length },
    ];
    return html`<section class="panel aside" aria-label="Details">
      <div class="tabs" role="tablist" aria-label="Details" @keydown=${rove}>
        ${tabs.map(
          ({ tab, name, count }) => html`<button
            id="tab-${tab}"
            type="button"
            role="tab"
            aria-controls="tab-panel"
            aria-selected=${open.value === tab}
            tabindex=${open.value === tab ? 0 : -1}
            @click=${() => (open.value = tab)}
          >${name}${count === undefined ? "" : html` <span class="count">${count}</span>`}</button>`,
        )}
      </div>
      <div id="tab-panel" class="tab-panel" role="tabpanel" tabindex="0" aria-labelledby="tab-${open.value}">${inside()}</div>
    </section>`;
  }

  /** Whoever chooses a mission wants to read of it. */
  updated() {
    if (cursor.value === this.shown) return;
    this.shown = cursor.value;
    if (cursor.value) open.value = "mission";
  }
}

function inside() {
  switch (open.value) {
    case "tools":
      return toolList();
    case "clients":
      return clientList();
    case "nodes":
      return nodeList();
    default:
      return html`<ct-mission-panel .missionId=${cursor.value}></ct-mission-panel>`;
  }
}

/** @param {KeyboardEvent} event */
function rove(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const tabs = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")];
  const at = tabs.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  const next = tabs[(at + step + tabs.length) % tabs.length];
  next.focus();
  next.click();
}

define("ct-aside", Aside);
