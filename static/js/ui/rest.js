/** Calls to the REST side, for what `/ws` does not do: search, restore, export, old messages. */

import { RpcError } from "../client.js";
import { token } from "./token.js";

/**
 * @param {string} method
 * @param {string} path
 * @param {{query?: Record<string, string | number | undefined>, body?: unknown}} [more]
 * @returns {Promise<Response>} rejected with an {@link RpcError} that says what the server said
 */
export async function fetchRest(method, path, { query = {}, body } = {}) {
  const url = new URL(path, location.href);
  if (url.origin !== location.origin) throw new RpcError("forbidden", "This is not an address of this server.");
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
  const secret = token();
  const headers = {
    Accept: "application/json",
    ...(secret && { Authorization: `Bearer ${secret}` }),
    ...(body !== undefined && { "Content-Type": "application/json" }),
  };
  const response = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new RpcError(problem.code ?? "internal", problem.detail ?? problem.title ?? response.statusText, { number: response.status });
}

/**
 * Hands a file of the server to the person, with their credentials, which a plain link could not carry.
 * @param {string} path
 * @param {string} name
 * @param {Record<string, string>} [query]
 */
export async function download(path, name, query = {}) {
  const response = await fetchRest("GET", path, { query });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
