/**
 * `<ct-markdown>`: a model's text as safe elements.
 *
 * HTML in the text is shown as text; what Markdown makes goes through DOMPurify into elements, never through
 * `innerHTML`. No remote image is loaded: its address could carry away what the model has read.
 */

import DOMPurify from "dompurify";
import { Marked } from "marked";
import { highlight } from "./highlight.js";
import { lexBlocks, NO_BLOCKS } from "./blocks.js";

const ESCAPES = /** @type {Record<string, string>} */ ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" });
/** @param {string} text */
const escape = (text) => text.replace(/[&<>"]/g, (character) => ESCAPES[character]);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escape(text),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ...["p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "del", "code", "pre", "blockquote"],
    ...["ul", "ol", "li", "a", "img", "table", "thead", "tbody", "tr", "th", "td", "span"],
  ],
  ALLOWED_ATTR: ["href", "src", "alt", "title", "align", "start", "class"],
  FORBID_TAGS: ["style", "form", "input"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
};

/** A text in Markdown; set `text`, and `streaming` while it grows. */
export class MarkdownView extends HTMLElement {
  #lexed = NO_BLOCKS;
  /** @type {{block: import("./blocks.js").Block, element: HTMLElement}[]} */ #drawn = [];
  /** Set before `text`: a growing text is lexed from its last stable block only. */
  streaming = false;

  get text() {
    return this.#lexed.text;
  }

  set text(value) {
    const before = this.streaming ? this.#lexed : NO_BLOCKS;
    this.#lexed = lexBlocks(before, value ?? "", (source) => marked.lexer(source));
    this.#draw(this.#lexed.blocks);
  }

  connectedCallback() {
    this.addEventListener("click", copyCode);
  }

  disconnectedCallback() {
    this.removeEventListener("click", copyCode);
  }

  /** @param {import("./blocks.js").Block[]} blocks */
  #draw(blocks) {
    blocks.forEach((block, index) => {
      const old = this.#drawn[index];
      if (old?.block === block || (old && old.block.raw === block.raw && this.streaming)) return;
      const element = renderBlock(block);
      if (old) old.element.replaceWith(element);
      else this.append(element);
      this.#drawn[index] = { block, element };
    });
    for (const { element } of this.#drawn.splice(blocks.length)) element.remove();
  }
}

/** @param {import("./blocks.js").Block} block @returns {HTMLElement} */
function renderBlock({ token, links }) {
  const element = document.createElement("div");
  if (token.type === "space") return element;
  const source = marked.parser(/** @type {any} */ (Object.assign([token], { links })));
  const fragment = DOMPurify.sanitize(source, ALLOWED);
  for (const link of fragment.querySelectorAll("a")) secureLink(link);
  for (const image of fragment.querySelectorAll("img")) if (!isLocal(image.getAttribute("src"))) image.replaceWith(imageLink(image));
  for (const table of fragment.querySelectorAll("table")) wrapTable(table);
  for (const code of fragment.querySelectorAll("pre > code")) dressCode(/** @type {HTMLElement} */ (code));
  element.append(fragment);
  return element;
}

/** @param {string | null} source @returns {boolean} */
function isLocal(source) {
  return source !== null && (source.startsWith("data:image/") || new URL(source, location.href).origin === location.origin);
}

/** @param {HTMLAnchorElement} link */
function secureLink(link) {
  link.rel = "noopener noreferrer nofollow";
  link.target = "_blank";
}

/** @param {HTMLImageElement} image @returns {HTMLAnchorElement} what stands for an image that is not loaded */
function imageLink(image) {
  const link = document.createElement("a");
  link.href = image.getAttribute("src") ?? "";
  link.textContent = `Image: ${image.alt || link.hostname || "not loaded"}`;
  secureLink(link);
  return link;
}

/** A wide table scrolls by itself, by keyboard too. @param {HTMLTableElement} table */
function wrapTable(table) {
  const frame = document.createElement("div");
  frame.className = "table-frame";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Table");
  table.replaceWith(frame);
  frame.append(table);
}

/** Colours a code block and gives it a button to copy it. @param {HTMLElement} code */
function dressCode(code) {
  const language = /language-([\w+#-]+)/.exec(code.className)?.[1] ?? "";
  const pre = /** @type {HTMLPreElement} */ (code.parentElement);
  const figure = document.createElement("figure");
  const bar = document.createElement("figcaption");
  const button = document.createElement("button");
  figure.className = "code";
  bar.textContent = language || "text";
  button.type = "button";
  button.className = "button ghost small";
  button.dataset.copy = "";
  button.textContent = "Copy";
  bar.append(button);
  pre.tabIndex = 0;
  pre.replaceWith(figure);
  code.replaceChildren(highlight(code.textContent ?? "", language));
  figure.append(bar, pre);
}

/** @param {MouseEvent} click */
function copyCode(click) {
  const button = /** @type {HTMLElement} */ (click.target).closest?.("[data-copy]");
  const code = button?.closest("figure")?.querySelector("code");
  if (!button || !code) return;
  navigator.clipboard.writeText(code.textContent ?? "").then(
    () => (button.textContent = "Copied"),
    () => (button.textContent = "Press Ctrl+C"),
  );
  setTimeout(() => (button.textContent = "Copy"), 2_000);
}

customElements.define("ct-markdown", MarkdownView);
