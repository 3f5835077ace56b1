/** Locks that all tabs share (Web Locks), or that are those of this process where there are none. */

/** @type {Map<string, Promise<unknown>>} */
const last = new Map();

/**
 * Run something while no other tab runs anything under the same name.
 *
 * @template T
 * @param {string} name
 * @param {(hasWaited: boolean) => Promise<T>} run is told whether another tab had the lock before
 * @param {AbortSignal} [signal] ends the wait for the lock
 * @returns {Promise<T>}
 */
export async function withLock(name, run, signal) {
  if (globalThis.navigator?.locks) return await withWebLock(name, run, signal);
  const before = last.get(name);
  const own = (async () => {
    await before;
    signal?.throwIfAborted();
    return await run(before !== undefined);
  })();
  const settled = own.catch(() => undefined);
  last.set(name, settled);
  try {
    return await own;
  } finally {
    if (last.get(name) === settled) last.delete(name);
  }
}

/**
 * @template T
 * @param {string} name
 * @param {(hasWaited: boolean) => Promise<T>} run
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
async function withWebLock(name, run, signal) {
  const { locks } = navigator;
  const options = { ifAvailable: true };
  const first = await locks.request(name, options, async (lock) => lock && { value: await run(false) });
  if (first) return first.value;
  return await locks.request(name, { signal }, () => run(true));
}
