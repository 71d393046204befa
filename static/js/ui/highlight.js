/** Colours for code: highlight.js with a dozen languages, its output sanitised into elements like all markup. */

import DOMPurify from "dompurify";
import hljs from "highlight.js/core.min.js";
import bash from "highlight.js/languages/bash.min.js";
import css from "highlight.js/languages/css.min.js";
import diff from "highlight.js/languages/diff.min.js";
import javascript from "highlight.js/languages/javascript.min.js";
import json from "highlight.js/languages/json.min.js";
import markdown from "highlight.js/languages/markdown.min.js";
import python from "highlight.js/languages/python.min.js";
import rust from "highlight.js/languages/rust.min.js";
import sql from "highlight.js/languages/sql.min.js";
import typescript from "highlight.js/languages/typescript.min.js";
import xml from "highlight.js/languages/xml.min.js";
import yaml from "highlight.js/languages/yaml.min.js";

const LANGUAGES = { bash, css, diff, javascript, json, markdown, python, rust, sql, typescript, xml, yaml };
for (const [name, grammar] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, grammar);

/** Longer code is shown without colours: colouring it would hold up the page. */
const LONGEST = 50_000;
const SPANS = { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: /** @type {const} */ (true) };

/**
 * Code as coloured elements; plain text when the language is unknown or the code too long.
 * @param {string} code
 * @param {string} language
 * @returns {Node}
 */
export function highlight(code, language) {
  if (!hljs.getLanguage(language) || code.length > LONGEST) return document.createTextNode(code);
  return DOMPurify.sanitize(hljs.highlight(code, { language, ignoreIllegals: true }).value, SPANS);
}
