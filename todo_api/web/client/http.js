/** One request to the service, and its response or error. */

import { OfflineError, TodoError } from "./errors.js";

const TIMEOUT = 30_000;

/**
 * @typedef {object} Request
 * @property {string} [method] `GET` by default
 * @property {string} path below the address of the service, such as `api/auth/me`
 * @property {Record<string, unknown>} [query]
 * @property {unknown} [json] the body
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {number} [timeout] milliseconds until the whole response must be there; 0: any time
 * @property {"json" | "blob" | "stream"} [as] in which form the body is returned
 */

/**
 * @typedef {object} Answer
 * @property {Headers} headers
 * @property {any} body any JSON, a Blob or a stream, as the request asked for
 */

/** Sends requests to one service. */
export class Http {
  #fetch;

  /**
   * @param {string} url
   * @param {typeof fetch} [fetch]
   */
  constructor(url, fetch = globalThis.fetch.bind(globalThis)) {
    /** The address of the service, which ends with a slash. */
    this.url = url.endsWith("/") ? url : `${url}/`;
    this.#fetch = fetch;
  }

  /**
   * Send a request once.
   *
   * @param {Request} request
   * @returns {Promise<Answer>}
   * @throws {TodoError} if the service refuses it
   * @throws {OfflineError} if there is no response, or one that is not from the service
   */
  async send(request) {
    const { method = "GET", path, query = {}, json, signal, timeout = TIMEOUT, as = "json" } = request;
    const url = new URL(path + queryString(query), this.url);
    const headers = new Headers(request.headers);
    if (json !== undefined) headers.set("Content-Type", "application/json");
    const body = json === undefined ? undefined : JSON.stringify(json);
    const signals = [signal, timeout ? AbortSignal.timeout(timeout) : undefined];
    const present = signals.filter((each) => each !== undefined);
    const until = present.length > 1 ? AbortSignal.any(present) : present[0];
    try {
      const response = await this.#fetch(url, { method, headers, body, signal: until });
      if (!response.ok) throw await problemOf(response);
      return { headers: response.headers, body: await read(response, as) };
    } catch (error) {
      if (error instanceof TodoError || signal?.aborted) throw error;
      throw new OfflineError(error);
    }
  }
}

/**
 * @param {Record<string, unknown>} query values that are `null`, `undefined` or empty are left out
 * @returns {string} the query with its question mark, or nothing
 */
export function queryString(query) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    const text = textOf(value);
    if (text) found.set(name, text);
  }
  return found.size ? `?${found}` : "";
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function textOf(value) {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString();
  if (!Array.isArray(value)) return String(value);
  return value.map((each) => String(each).replace(/[\\,]/g, "\\$&")).join(",");
}

/**
 * @param {Response} response
 * @param {"json" | "blob" | "stream"} as
 */
async function read(response, as) {
  if (as === "stream") return response.body;
  if (as === "blob") return await response.blob();
  if (response.status === 204) return null;
  return await response.json();
}

/** @param {Response} response */
async function problemOf(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  const problem = await response.json().catch(() => null);
  const known = typeof problem?.code === "string" ? problem : {};
  return new TodoError({ ...known, status: response.status }, retryAfter);
}
