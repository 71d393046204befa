/**
 * The colour theme, applied before the first paint: a classic script in the head, so that no page flashes.
 * `auto` follows the system; the code themes follow through the `media` of their style sheets.
 */
(() => {
  const KEY = "tower.theme";

  function get() {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : "auto";
  }

  /** @param {"auto" | "light" | "dark"} theme */
  function apply(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    for (const sheet of /** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[data-scheme]"))) {
      const { scheme } = sheet.dataset;
      sheet.media = theme === "auto" ? `(prefers-color-scheme: ${scheme})` : theme === scheme ? "all" : "not all";
    }
  }

  /** @param {"auto" | "light" | "dark"} theme */
  function set(theme) {
    localStorage.setItem(KEY, theme);
    apply(theme);
  }

  globalThis.towerTheme = { get, set };
  apply(get());
})();
