/** The token a person signed in with: kept for this tab only. */

const KEY = "tower.token";

/** @returns {string | undefined} */
export function token() {
  return sessionStorage.getItem(KEY) ?? undefined;
}

/** @param {string} value */
export function setToken(value) {
  sessionStorage.setItem(KEY, value);
}
