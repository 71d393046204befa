/** `<ct-theme>`: light, dark, or as the system says. `theme.js` applied it before the first paint. */

import { html } from "lit";
import { signal } from "@preact/signals-core";
import { icon } from "./icons.js";
import { define, View } from "./view.js";

/** @typedef {"auto" | "light" | "dark"} Theme */

const NEXT = /** @type {const} */ ({ auto: "light", light: "dark", dark: "auto" });
const ICONS = /** @type {const} */ ({ auto: "auto", light: "sun", dark: "moon" });
const WORDS = /** @type {const} */ ({ auto: "as the system", light: "light", dark: "dark" });

const theme = signal(/** @type {Theme} */ (globalThis.towerTheme.get()));

class ThemeToggle extends View {
  render() {
    const label = `Colours: ${WORDS[theme.value]}. Change to ${WORDS[NEXT[theme.value]]}`;
    return html`<button class="button ghost square" type="button" aria-label=${label} title=${label} @click=${change}>${icon(ICONS[theme.value])}</button>`;
  }
}

function change() {
  theme.value = NEXT[theme.value];
  globalThis.towerTheme.set(theme.value);
}

define("ct-theme", ThemeToggle);
