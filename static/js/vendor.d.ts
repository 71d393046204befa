/** The parts of the vendored modules that the pages use, for the type checker alone; nothing here runs. */

declare module "lit-html" {
  export interface TemplateResult {
    readonly _$litType$: number;
  }
  export const nothing: unique symbol;
}

declare module "lit" {
  import type { TemplateResult } from "lit-html";
  export function html(strings: TemplateStringsArray, ...values: unknown[]): TemplateResult;
  export { nothing } from "lit-html";
  export function svg(strings: TemplateStringsArray, ...values: unknown[]): TemplateResult;
  export class LitElement extends HTMLElement {
    static properties: Record<string, { attribute?: boolean | string; type?: unknown }>;
    readonly updateComplete: Promise<boolean>;
    readonly isUpdatePending: boolean;
    connectedCallback(): void;
    disconnectedCallback(): void;
    requestUpdate(): void;
    protected createRenderRoot(): HTMLElement | DocumentFragment;
    protected performUpdate(): void;
    protected shouldUpdate(changed: Map<string, unknown>): boolean;
    protected willUpdate(changed: Map<string, unknown>): void;
    protected firstUpdated(changed: Map<string, unknown>): void;
    protected updated(changed: Map<string, unknown>): void;
    protected render(): unknown;
  }
}

declare module "lit-html/directives/repeat.js" {
  export function repeat<T>(items: Iterable<T>, key: (item: T) => unknown, template: (item: T, index: number) => unknown): unknown;
}

declare module "lit-html/directives/live.js" {
  export function live(value: unknown): unknown;
}

declare module "@preact/signals-core" {
  export interface ReadonlySignal<T> {
    readonly value: T;
    peek(): T;
  }
  export interface Signal<T> extends ReadonlySignal<T> {
    value: T;
  }
  export function signal<T>(value: T): Signal<T>;
  export function computed<T>(compute: () => T): ReadonlySignal<T>;
  export function effect(run: () => void | (() => void)): () => void;
  export function batch<T>(run: () => T): T;
}

declare module "marked" {
  export interface Token {
    raw: string;
    type: string;
  }
  export interface Options {
    gfm?: boolean;
    breaks?: boolean;
    renderer?: { html?(token: { text: string }): string; checkbox?(token: { checked: boolean }): string };
  }
  export class Marked {
    constructor(options: Options);
    lexer(text: string): Token[] & { links: object };
    parser(tokens: Token[] & { links: object }): string;
  }
}

declare module "dompurify" {
  interface Config {
    ALLOWED_TAGS?: string[];
    ALLOWED_ATTR?: string[];
    FORBID_TAGS?: string[];
    ALLOW_DATA_ATTR?: boolean;
    ALLOW_ARIA_ATTR?: boolean;
    RETURN_DOM_FRAGMENT: true;
  }
  const purifier: { sanitize(html: string, config: Config): DocumentFragment };
  export default purifier;
}

declare module "highlight.js/core.min.js" {
  interface Grammar {
    readonly name: string;
  }
  const hljs: {
    registerLanguage(name: string, grammar: Grammar): void;
    getLanguage(name: string): Grammar | undefined;
    highlight(code: string, options: { language: string; ignoreIllegals?: boolean }): { value: string };
  };
  export default hljs;
}

declare module "highlight.js/languages/*.min.js" {
  const grammar: { readonly name: string };
  export default grammar;
}

/** Set by `theme.js` before any module runs. */
declare var towerTheme: { get(): string; set(theme: string): void };
