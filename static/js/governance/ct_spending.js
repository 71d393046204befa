/** `<ct-spending>`: what each user spent on a day, those who spent most first. */

import { html } from "lit";
import { counted } from "../ui/format.js";
import { shareBar } from "../ui/share.js";
import { define, View } from "../ui/view.js";
import { day, showDay, spending } from "./store.js";

const SHOWN = 50;

class Spending extends View {
  render() {
    const users = [...(spending.value ?? [])].sort((a, b) => b.cost_usd - a.cost_usd || tokens(b) - tokens(a) || b.missions - a.missions);
    const most = Math.max(1, ...users.map(weight));
    return html`<section class="block" aria-labelledby="spending">
      <div class="block-head">
        <h2 id="spending">Spending by user</h2>
        <span class="apart"></span>
        <input type="date" aria-label="Day (UTC)" .value=${day.value} @change=${chosen} />
      </div>
      ${users.length ? "" : html`<p class="hint">${spending.value ? "Nobody spent anything on this day." : "Loading"}</p>`}
      <ul class="list">
        ${users.slice(0, SHOWN).map(
          (user) => html`<li class="item">
            <div class="item-head"><span class="item-name">${user.user_id}</span><b class="figure">$${user.cost_usd.toFixed(2)}</b></div>
            ${shareBar((weight(user) / most) * 0.79, "")}
            <p class="facts">${[counted(user.missions, "mission"), counted(user.llm_calls, "model call"), counted(user.tool_calls, "tool call"), counted(tokens(user), "token")].join(" · ")}</p>
          </li>`,
        )}
      </ul>
      ${users.length > SHOWN ? html`<p class="hint">and ${counted(users.length - SHOWN, "user")} more</p>` : ""}
    </section>`;
  }
}

/** @param {Record<string, any>} user */
const tokens = ({ input_tokens, output_tokens }) => input_tokens + output_tokens;

/** What a user's bar compares: money where there is a price, else work. @param {Record<string, any>} user */
const weight = (user) => user.cost_usd || tokens(user) / 1e6 || (user.tool_calls + user.missions) / 1e9;

/** @param {Event} event */
function chosen({ target }) {
  const { value } = /** @type {HTMLInputElement} */ (target);
  if (value) void showDay(value);
}

define("ct-spending", Spending);
