/** `<ct-nav>`: the way to the other pages. The console is for those who may see everything. */

import { html } from "lit";
import { hello } from "./connection.js";
import { define, View } from "./view.js";

const PAGES = [
  { path: "/", name: "Chat", all: true },
  { path: "/operator", name: "Console", all: false },
  { path: "/governance", name: "Governance", all: true },
];

class PageNav extends View {
  render() {
    const seesAll = hello.value === null || hello.value.role !== "user";
    const here = (/** @type {string} */ path) => (location.pathname === path ? "page" : "false");
    return html`<nav class="pages" aria-label="Pages">
      ${PAGES.filter(({ all }) => all || seesAll).map(({ path, name }) => html`<a href=${path} aria-current=${here(path)}>${name}</a>`)}
    </nav>`;
  }
}

define("ct-nav", PageNav);
