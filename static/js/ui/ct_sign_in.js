/** `<ct-sign-in>`: asks for a token when the server wants one. */

import { html } from "lit";
import { define, View } from "./view.js";
import { signIn, status } from "./connection.js";
import { setToken, token } from "./token.js";

class SignIn extends View {
  render() {
    const refused = token() !== undefined;
    return html`<dialog class="dialog" aria-labelledby="sign-in-title" @cancel=${keepOpen}>
      <form method="dialog" @submit=${this.#submit}>
        <h2 id="sign-in-title">Sign in</h2>
        <p id="sign-in-help">${refused ? "This token is not valid, or no longer." : "This tower asks for a token."} It is kept for this tab only.</p>
        <label for="token">Token</label>
        <input id="token" type="password" autocomplete="off" required aria-describedby="sign-in-help" aria-invalid=${refused} />
        <div class="row end"><button class="button primary" type="submit">Sign in</button></div>
      </form>
    </dialog>`;
  }

  updated() {
    const dialog = /** @type {HTMLDialogElement} */ (this.querySelector("dialog"));
    const wanted = status.value.state === "closed" && status.value.code === 4401;
    if (wanted && !dialog.open) dialog.showModal();
    else if (!wanted && dialog.open) dialog.close();
  }

  /** @param {SubmitEvent} event */
  #submit = (event) => {
    event.preventDefault();
    const field = /** @type {HTMLInputElement} */ (this.querySelector("#token"));
    setToken(field.value.trim());
    field.value = "";
    void signIn();
  };
}

/** @param {Event} event */
function keepOpen(event) {
  event.preventDefault();
}

define("ct-sign-in", SignIn);
