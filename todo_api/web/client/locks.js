/** Locks that all tabs share (Web Locks), or that are those of this process where there are none. */

/** @type {Map<string, Promise<unknown>>} */
const last = new Map();

/**
 * Run something while no other tab runs anything under the same name.
 *
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} run
 * @param {AbortSignal} [signal] ends the wait for the lock
 * @returns {Promise<T>}
 */
export async function withLock(name, run, signal) {
  if (globalThis.navigator?.locks) return await navigator.locks.request(name, { signal }, run);
  const before = last.get(name);
  const own = (async () => {
    await before;
    signal?.throwIfAborted();
    return await run();
  })();
  const settled = own.catch(() => undefined);
  last.set(name, settled);
  try {
    return await own;
  } finally {
    if (last.get(name) === settled) last.delete(name);
  }
}
