/** `<ct-toasts>`: errors, said at once, and what can be undone. */

import { html } from "lit";
import { repeat } from "lit-html/directives/repeat.js";
import { icon } from "./icons.js";
import { define, View } from "./view.js";
import { dismiss, toasts } from "./toast.js";

/** @typedef {import("./toast.js").Toast} Toast */

class Toasts extends View {
  render() {
    const [errors, others] = [toasts.value.filter(isError), toasts.value.filter((one) => !isError(one))];
    return html`<div class="toasts">
      <div role="alert">${repeat(errors, (one) => one.id, toastCard)}</div>
      <div>${repeat(others, (one) => one.id, toastCard)}</div>
    </div>`;
  }
}

/** @param {Toast} one */
const isError = (one) => one.tone === "error";

/** @param {Toast} one */
function toastCard({ id, text, tone, action }) {
  const act = () => {
    dismiss(id);
    action?.run();
  };
  return html`<div class="toast" data-tone=${tone}>
    ${icon(tone === "error" ? "hand" : "check")}
    <span>${text}</span>
    ${action ? html`<button class="link" type="button" @click=${act}>${action.label}</button>` : ""}
    <button class="button ghost square small" type="button" aria-label="Dismiss" @click=${() => dismiss(id)}>${icon("cross")}</button>
  </div>`;
}

define("ct-toasts", Toasts);
