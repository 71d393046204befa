/** `<ct-keys>`: the keys, and whether they work anywhere or in the table only. */

import { html } from "lit";
import { looksOnly } from "../ui/connection.js";
import { define, View } from "../ui/view.js";
import { keysOpen } from "./dialogs.js";
import { KEYS, limitKeys, onlyInTable } from "./keys.js";

class KeysDialog extends View {
  render() {
    const keys = KEYS.filter(({ acts }) => !acts || !looksOnly());
    return html`<dialog class="dialog" aria-labelledby="keys-title" @close=${close}>
      <form method="dialog">
        <h2 id="keys-title">Keys</h2>
        <dl class="keys">
          ${keys.map(({ shown, what }) => html`<dt><kbd>${shown}</kbd></dt><dd>${what}</dd>`)}
          <dt><kbd>↑</kbd> <kbd>↓</kbd></dt><dd>Move in the table</dd>
          <dt><kbd>Esc</kbd></dt><dd>Untag all</dd>
        </dl>
        <label class="check"><input type="checkbox" .checked=${onlyInTable.value} @change=${changed} /> Only while the table has the focus</label>
        <div class="row end"><button class="button primary" type="submit">Close</button></div>
      </form>
    </dialog>`;
  }

  updated() {
    const dialog = /** @type {HTMLDialogElement} */ (this.querySelector("dialog"));
    if (keysOpen.value && !dialog.open) dialog.showModal();
    else if (!keysOpen.value && dialog.open) dialog.close();
  }
}

/** @param {Event} event */
function changed({ target }) {
  limitKeys(/** @type {HTMLInputElement} */ (target).checked);
}

function close() {
  keysOpen.value = false;
}

define("ct-keys", KeysDialog);
