/** Icons: 16 px line drawings in the colour of their text. They repeat what a word beside them says. */

import { svg, html } from "lit";

const PATHS = {
  tower: svg`<path d="M8 7.5v6.5M5.5 14h5M5 7.2a4.2 4.2 0 0 1 0-4.4M11 7.2a4.2 4.2 0 0 0 0-4.4M2.8 9a7.3 7.3 0 0 1 0-8M13.2 9a7.3 7.3 0 0 0 0-8"/><circle cx="8" cy="5" r="1.4"/>`,
  plus: svg`<path d="M8 3v10M3 8h10"/>`,
  search: svg`<circle cx="7" cy="7" r="4.2"/><path d="m10.2 10.2 3.3 3.3"/>`,
  send: svg`<path d="M8 13V3.2M3.8 7.2 8 3l4.2 4.2"/>`,
  stop: svg`<rect x="4.2" y="4.2" width="7.6" height="7.6" rx="1.2"/>`,
  check: svg`<path d="m3.5 8.4 3 3 6-6.6"/>`,
  cross: svg`<path d="m4.2 4.2 7.6 7.6M11.8 4.2l-7.6 7.6"/>`,
  minus: svg`<path d="M4 8h8"/>`,
  chevron: svg`<path d="m6 3.8 4.2 4.2L6 12.2"/>`,
  down: svg`<path d="M8 3v9.6M3.8 8.8 8 13l4.2-4.2"/>`,
  clock: svg`<circle cx="8" cy="8" r="5.6"/><path d="M8 4.8V8l2.2 1.6"/>`,
  hand: svg`<path d="M8 2.2 14.2 13H1.8L8 2.2Z"/><path d="M8 6.4v3M8 11.2v.2"/>`,
  question: svg`<circle cx="8" cy="8" r="5.8"/><path d="M6.2 6.4A1.9 1.9 0 1 1 8 8.6v.7M8 11.3v.2"/>`,
  pause: svg`<path d="M5.8 4v8M10.2 4v8"/>`,
  copy: svg`<rect x="5.5" y="5.5" width="7.5" height="7.5" rx="1.4"/><path d="M10.5 5.5V4.2A1.2 1.2 0 0 0 9.3 3H4.2A1.2 1.2 0 0 0 3 4.2v5.1a1.2 1.2 0 0 0 1.2 1.2h1.3"/>`,
  retry: svg`<path d="M12.8 8A4.8 4.8 0 1 1 11 4.2M11.2 1.8v2.8H8.4"/>`,
  edit: svg`<path d="m10.6 3 2.4 2.4-7.4 7.4-3 .6.6-3L10.6 3Z"/>`,
  more: svg`<g fill="currentcolor" stroke="none"><circle cx="3.4" cy="8" r="1.2"/><circle cx="8" cy="8" r="1.2"/><circle cx="12.6" cy="8" r="1.2"/></g>`,
  menu: svg`<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>`,
  archive: svg`<path d="M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 9h3"/>`,
  trash: svg`<path d="M3 4.5h10M6.2 4.5V3h3.6v1.5M4.4 4.5l.5 8.5h6.2l.5-8.5"/>`,
  export: svg`<path d="M8 10V2.8M5.2 5.4 8 2.6l2.8 2.8M3 9.5V13h10V9.5"/>`,
  sun: svg`<circle cx="8" cy="8" r="2.8"/><path d="M8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1"/>`,
  moon: svg`<path d="M13 9.6A5.4 5.4 0 0 1 6.4 3a5.4 5.4 0 1 0 6.6 6.6Z"/>`,
  auto: svg`<circle cx="8" cy="8" r="5.6"/><path d="M8 2.4v11.2M8 4.6h3.9M8 7h5.4M8 9.4h5.3M8 11.8h3.6"/>`,
  link: svg`<path d="M6.6 9.4a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 0 0-3.7-3.7l-.8.8M9.4 6.6a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 0 0 3.7 3.7l.8-.8"/>`,
  file: svg`<path d="M4 2.5h5l3 3v8H4zM9 2.5v3h3"/>`,
  play: svg`<path d="M5 3.4v9.2L12.4 8 5 3.4Z"/>`,
  lock: svg`<rect x="3.6" y="7" width="8.8" height="6.4" rx="1.4"/><path d="M5.4 7V5.2a2.6 2.6 0 0 1 5.2 0V7"/>`,
  tree: svg`<path d="M3 2.8v8.4h4M3 6.4h4M9 6.4h4M9 11.2h4"/>`,
  keyboard: svg`<rect x="1.8" y="4" width="12.4" height="8" rx="1.4"/><path d="M4.4 6.6h.2M7 6.6h.2M9.6 6.6h.2M11.8 6.6h.2M5 9.4h6"/>`,
  spark: svg`<path d="M2.5 8h2.2l1.6-4 3 8 1.6-4h2.6"/>`,
};

/**
 * An icon, hidden from assistive technology.
 * @param {keyof typeof PATHS} name
 * @param {string} [more] further class names
 */
export function icon(name, more = "") {
  return html`<svg class="icon ${more}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">${PATHS[name]}</svg>`;
}

/** A small ring that turns while something runs. */
export const spinner = () => html`<span class="spinner" aria-hidden="true"></span>`;
