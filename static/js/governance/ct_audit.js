/** `<ct-audit>`: a search through everything that ever happened, the latest first, to be taken along as a file. */

import { html } from "lit";
import { dayAndTime } from "../ui/format.js";
import { icon, spinner } from "../ui/icons.js";
import { fetchRest } from "../ui/rest.js";
import { save } from "../ui/save.js";
import { report } from "../ui/toast.js";
import { define, View } from "../ui/view.js";
import { tower } from "../ui/connection.js";
import { asLines, fits, KINDS, sayOf, stretchBefore } from "./audit.js";
import { ownTopic } from "./store.js";

/** @typedef {import("../client.js").TowerEvent} TowerEvent */
/** @typedef {import("./audit.js").Wanted} Wanted */

/** So many stretches are looked through before the person is asked whether to go on. */
const STRETCHES = 10;
const FOUND_AT_MOST = 300;

class Audit extends View {
  constructor() {
    super();
    /** @type {Wanted} */ this.wanted = { words: "", kind: "interrupt", user: "" };
    /** @type {TowerEvent[]} */ this.found = [];
    /** The lowest offset looked at; 0 before a search. */ this.back = 0;
    this.looked = 0;
    this.busy = false;
  }

  render() {
    const { words, kind, user } = this.wanted;
    return html`<section class="block" aria-labelledby="audit">
      <h2 id="audit">Audit</h2>
      <form class="audit-form" @submit=${this.#search}>
        <label class="grow"><span class="label">Words</span><input name="words" type="search" maxlength="500" .value=${words} placeholder="In anything that was said, asked or done" /></label>
        <label><span class="label">What</span><select name="kind" .value=${kind}>${KINDS.map((each) => html`<option value=${each.kind} ?selected=${each.kind === kind}>${each.name}</option>`)}</select></label>
        <label><span class="label">Who</span><input name="user" maxlength="200" .value=${user} placeholder="Anybody" /></label>
        <button class="button primary" type="submit" ?disabled=${this.busy}>${this.busy ? spinner() : icon("search")} Search</button>
      </form>
      ${this.back ? this.#results() : html`<p class="hint">The log keeps every event: who asked, who decided, what ran, and how it ended.</p>`}
    </section>`;
  }

  #results() {
    const { found, looked, back, busy } = this;
    return html`<div class="block-head">
        <p class="facts" role="status">${found.length.toLocaleString("en")} found in ${looked.toLocaleString("en")} events${back > 1 ? "" : ", the whole log"}</p>
        <span class="apart"></span>
        ${back > 1 ? html`<button class="button small" type="button" ?disabled=${busy} @click=${this.#goOn}>Look further back</button>` : ""}
        <button class="button small" type="button" ?disabled=${!found.length} @click=${() => save("audit.jsonl", "application/x-ndjson", asLines(found))}>${icon("export")} Export</button>
      </div>
      <ol class="audit-list">
        ${found.slice(0, FOUND_AT_MOST).map(line)}
      </ol>
      ${found.length > FOUND_AT_MOST ? html`<p class="hint">The latest ${FOUND_AT_MOST} are shown; the file has all.</p>` : ""}`;
  }

  /** @param {SubmitEvent} event */
  #search = async (event) => {
    event.preventDefault();
    if (this.busy) return;
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const field = (/** @type {string} */ name) => String(fields.get(name) ?? "").trim();
    this.wanted = { words: field("words"), kind: field("kind"), user: field("user") };
    this.found = [];
    this.looked = 0;
    this.back = 0;
    await this.#goOn();
  };

  #goOn = async () => {
    this.busy = true;
    this.requestUpdate();
    try {
      this.back ||= (await tower.call("ping")).offset + 1;
      for (let n = 0; n < STRETCHES && (await this.#look()); n += 1) this.requestUpdate();
    } catch (error) {
      report(error);
    }
    this.busy = false;
    this.requestUpdate();
  };

  /** Looks through the stretch before; false at the beginning of what is kept. */
  async #look() {
    const stretch = stretchBefore(this.back);
    if (!stretch) return false;
    const query = { topic: ownTopic(), since: stretch.since, limit: 1_000 };
    const page = await (await fetchRest("GET", "/api/v1/events", { query })).json();
    const events = page.events.filter((/** @type {TowerEvent} */ { offset = 0 }) => offset <= stretch.upto);
    this.looked += events.length;
    this.found.push(...events.filter((/** @type {TowerEvent} */ event) => fits(event, this.wanted)).reverse());
    this.back = page.recovered ? stretch.since + 1 : 1;
    return this.back > 1;
  }
}

/** @param {TowerEvent} event */
function line(event) {
  const { at, type, user_id } = event;
  return html`<li>
    <details>
      <summary><time datetime=${at}>${dayAndTime(at)}</time><code class="type">${type}</code><span class="user">${user_id ?? ""}</span><span class="said">${sayOf(event)}</span></summary>
      <pre tabindex="0"><code>${JSON.stringify(event, null, 2)}</code></pre>
    </details>
  </li>`;
}

define("ct-audit", Audit);
