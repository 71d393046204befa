/** The base of every component: Lit in light DOM, drawn again when a signal it has read changes. */

import { LitElement } from "lit";
import { effect } from "@preact/signals-core";

/**
 * A component. Its `render` may read signals and properties; it renders into itself, so that the page's style
 * sheets and labels reach everywhere.
 */
export class View extends LitElement {
  /** @type {(() => void) | undefined} */ #stop;

  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    this.requestUpdate();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#stop?.();
    this.#stop = undefined;
  }

  /** Lit's hook around one update; the effect notes which signals were read in it. */
  performUpdate() {
    if (!this.isUpdatePending) return;
    this.#stop?.();
    let updating = true;
    this.#stop = effect(() => {
      if (updating) {
        updating = false;
        super.performUpdate();
      } else {
        this.requestUpdate();
      }
    });
  }
}

/** @param {string} name @param {CustomElementConstructor} component */
export function define(name, component) {
  customElements.define(name, component);
}
