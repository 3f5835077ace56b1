/**
 * The service worker: keeps the files of the page and the client, so that the page opens at once and
 * without the service. It answers nothing else: the API and the documentation never pass through it.
 *
 * The server puts two constants in front of this file: `VERSION`, which changes with any file, and
 * `FILES`, the addresses of all files relative to this one. A new version is stored beside the old
 * one and takes over when no window uses the old one any more, or when the user reloads for it.
 */

const PREFIX = "todo-page-";
const CACHE = PREFIX + VERSION;
const HOME = new URL("./", location.href);
const ADDRESSES = new Set(FILES.map((file) => new URL(file, HOME).href));

/** Addresses below `HOME` at which a navigation shows the page. */
const PAGES = new Set([HOME.pathname, `${HOME.pathname}reset-password`]);

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

worker.addEventListener("install", (event) => event.waitUntil(Promise.all([store(), routeFiles(event)])));
worker.addEventListener("activate", (event) => event.waitUntil(takeOver()));
worker.addEventListener("message", (event) => {
  if (event.data === "activate") void worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== HOME.origin) return;
  if (request.mode === "navigate") {
    if (PAGES.has(url.pathname)) event.respondWith(respond(request, HOME.href));
    return;
  }
  const address = url.origin + url.pathname;
  if (ADDRESSES.has(address)) event.respondWith(respond(request, address));
});

/** Store all files, each as the server has it now. */
async function store() {
  const cache = await caches.open(CACHE);
  await cache.addAll([...ADDRESSES].map((address) => new Request(address, { cache: "no-cache" })));
}

/**
 * Let the browser take the files from the cache by itself, where it can (the Static Routing API of
 * service workers): they need not wait for this worker to start, nor pass through it one by one.
 *
 * @param {ExtendableEvent & { addRoutes?: (rules: object[]) => Promise<void> }} event
 */
async function routeFiles(event) {
  const paths = [...ADDRESSES].map((address) => new URL(address).pathname);
  const rules = paths.map((pathname) => ({
    condition: { requestMethod: "GET", urlPattern: { pathname, search: "" } },
    source: { cacheName: CACHE },
  }));
  await event.addRoutes?.(rules).catch(() => undefined); // this worker then answers, as in other browsers
}

/** Delete other versions. The first version also serves the windows that are already open. */
async function takeOver() {
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
  if (others.length === 0) await worker.clients.claim();
}

/**
 * @param {Request} request
 * @param {string} address under which the file is stored
 */
async function respond(request, address) {
  const cache = await caches.open(CACHE);
  return (await cache.match(address)) ?? fetch(request);
}
