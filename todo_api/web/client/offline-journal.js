/**
 * Writes that are not in IndexedDB yet.
 *
 * IndexedDB stores them soon, but not before a page can be left. `localStorage` does, and has each
 * of them until then.
 */

/** @import { QueuedWrite } from "./offline-rules.js" */

/** @returns {Storage | undefined} that of the browser, if there is one and it may be used */
function storage() {
  try {
    return globalThis.window?.localStorage;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} name
 * @param {QueuedWrite} write
 */
export function remember(name, write) {
  try {
    storage()?.setItem(`${name}:${write.order}`, JSON.stringify(write));
  } catch {
    // There is no room. The write is stored a moment later all the same.
  }
}

/**
 * @param {string} name
 * @param {QueuedWrite} write
 */
export function release(name, write) {
  storage()?.removeItem(`${name}:${write.order}`);
}

/**
 * @param {string} name
 * @returns {QueuedWrite[]} what was not stored when a page was left
 */
export function remembered(name) {
  const kept = storage();
  const keys = Object.keys(kept ?? {}).filter((key) => key.startsWith(`${name}:`));
  return keys.sort().flatMap((key) => {
    try {
      return JSON.parse(kept?.getItem(key) ?? "[]"); // another tab may just have stored it
    } catch {
      return [];
    }
  });
}
