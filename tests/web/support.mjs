/** Users, faults and waiting for the tests of the client. */

import "fake-indexeddb/auto";
import { TodoClient } from "../../todo_api/web/client/todo.js";

export const url = process.env.TODO_URL;
export const password = "a rather long sentence";

/** A storage that clients can share, as tabs share that of the browser. */
export function memory() {
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    change(changes) {
      for (const [key, text] of kept) kept.set(key, JSON.stringify({ ...JSON.parse(text), ...changes }));
    },
  };
}

/**
 * A fetch whose requests can be counted, and fail as its `faults` say.
 *
 * A fault is `refuse` (no connection), `lose` (the response does not arrive), or a Response or how
 * to make one. Each is used once, for the next request that its `matches` accepts.
 */
export function network() {
  const requests = [];
  const faults = [];
  let isOnline = true;
  const send = async (address, options) => {
    const request = { url: new URL(address), ...options, headers: new Headers(options.headers) };
    requests.push(request);
    if (!isOnline) throw new TypeError("fetch failed");
    const index = faults.findIndex(({ matches }) => matches(request));
    const [fault] = index < 0 ? [] : faults.splice(index, 1);
    if (fault?.fails === "refuse") throw new TypeError("fetch failed");
    if (fault?.fails instanceof Response) return fault.fails;
    if (fault?.fails instanceof Function) return fault.fails(request);
    const response = await fetch(address, options);
    if (fault?.fails === "lose") throw new TypeError("terminated");
    return response;
  };
  return {
    fetch: send,
    requests,
    fail: (fails, matches = () => true) => faults.push({ fails, matches }),
    goOffline: () => (isOnline = false),
    goOnline: () => (isOnline = true),
    count: (path) => requests.filter((request) => request.url.pathname.endsWith(path)).length,
  };
}

export function problem(status, code, headers = {}) {
  const body = JSON.stringify({ status, code, detail: "No.", request_id: "1" });
  return new Response(body, { status, headers: { "Content-Type": "application/problem+json", ...headers } });
}

let users = 0;

/** A new user's client, and what is needed to make more of them. */
export async function register(options = {}) {
  users += 1;
  const email = `ada-${process.pid}-${Date.now()}-${users}@example.com`;
  const client = new TodoClient({ url, ...options });
  await client.register({ name: "Ada", email, password });
  return { client, email };
}

/** Another device of a user. */
export async function signIn(email, options = {}) {
  const client = new TodoClient({ url, ...options });
  await client.login({ email, password });
  return client;
}

export function next(target, type) {
  return new Promise((resolve) => target.addEventListener(type, ({ detail }) => resolve(detail), { once: true }));
}

/** Wait until this is true, which an event of the target may have changed. */
export async function until(target, type, isTrue) {
  while (!isTrue()) await next(target, type);
}

export async function collect(iterator) {
  const found = [];
  for await (const each of iterator) found.push(each);
  return found;
}
