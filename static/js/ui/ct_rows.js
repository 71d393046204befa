/**
 * `<ct-rows>`: a long list of rows of one height, of which only those in sight are in the document.
 *
 * Set `items`, `row` (draws one) and `rowHeight`; call `reveal(index)` to bring one into sight. It says `scrolled`
 * with whether it stands at its top.
 */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { define, View } from "./view.js";
import { inSight, revealing } from "./window.js";

export class Rows extends View {
  static properties = { items: { attribute: false }, row: { attribute: false }, key: { attribute: false }, version: { attribute: false } };

  constructor() {
    super();
    /** @type {readonly any[]} */ this.items = [];
    /** @type {(item: any, index: number) => unknown} */ this.row = () => "";
    /** @type {(item: any) => unknown} */ this.key = (item) => item;
    /** Changes when rows look different although they are the same. @type {unknown} */ this.version = 0;
    this.rowHeight = 28;
    this.port = { scrollTop: 0, height: 0 };
  }

  render() {
    const { from, to } = inSight(this.port, this.rowHeight, this.items.length);
    this.from = from;
    const shown = this.items.slice(from, to).map((item, index) => ({ item, index: from + index }));
    return html`<div class="rows-pad" role="presentation">
      <div class="rows-in-sight" role="presentation">${repeat(shown, ({ item }) => this.key(item), ({ item, index }) => this.row(item, index))}</div>
    </div>`;
  }

  connectedCallback() {
    super.connectedCallback();
    this.addEventListener("scroll", this.#scrolled, { passive: true });
    this.sized = new ResizeObserver(() => this.#measure());
    this.sized.observe(this);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.removeEventListener("scroll", this.#scrolled);
    this.sized?.disconnect();
  }

  /** Sizes are set on the elements, not written into the document: the policy allows no style attributes. */
  updated() {
    const pad = /** @type {HTMLElement} */ (this.firstElementChild);
    pad.style.height = `${this.items.length * this.rowHeight}px`;
    /** @type {HTMLElement} */ (pad.firstElementChild).style.transform = `translateY(${(this.from ?? 0) * this.rowHeight}px)`;
  }

  /** @param {number} index */
  reveal(index) {
    this.#measure();
    this.scrollTop = revealing(this.port, this.rowHeight, index);
  }

  #measure() {
    const { scrollTop, clientHeight: height } = this;
    if (scrollTop === this.port.scrollTop && height === this.port.height) return;
    this.port = { scrollTop, height };
    this.requestUpdate();
  }

  #scrolled = () => {
    this.#measure();
    this.dispatchEvent(new CustomEvent("scrolled", { detail: { atTop: this.scrollTop < this.rowHeight } }));
  };
}

define("ct-rows", Rows);
