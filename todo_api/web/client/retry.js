/** When requests are sent again, and how long to wait before that. */

import { OfflineError, TodoError } from "./errors.js";

const FIRST_DELAY = 300;
const LONGEST_DELAY = 30_000;
const LONGEST_RETRY_AFTER = 10;
const TEMPORARY = new Set([408, 425, 429, 500, 502, 503, 504]);
const NOT_SOON = new Set(["too_many_kept_responses", "too_many_streams"]);

/**
 * @param {unknown} error
 * @returns {error is OfflineError | TodoError} whether the same request may succeed later
 */
export function isTemporary(error) {
  if (error instanceof OfflineError) return true;
  if (!(error instanceof TodoError)) return false;
  return TEMPORARY.has(error.status) || error.code === "idempotency_in_progress";
}

/**
 * @param {number} failures how many there were in a row, 0 or more
 * @param {unknown} [error] the last one, whose `Retry-After` is the least to wait
 * @returns {number} milliseconds: exponential back-off with jitter
 */
export function delayAfter(failures, error) {
  const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures);
  const least = error instanceof TodoError ? (error.retryAfter ?? 0) * 1000 : 0;
  return least + most * (0.5 + Math.random() / 2);
}

/**
 * @param {EventTarget} target
 * @param {string[]} types
 * @param {AbortSignal} signal
 * @returns {Promise<void>} until the next event of these, or the signal
 */
export function nextEvent(target, types, signal) {
  return new Promise((resolve) => {
    const end = () => {
      for (const type of types) target.removeEventListener(type, end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    for (const type of types) target.addEventListener(type, end);
    signal.addEventListener("abort", end);
  });
}

/**
 * Wait, but not longer than until the event `online` or the signal.
 *
 * @param {number} milliseconds
 * @param {{ signal?: AbortSignal, wake?: EventTarget }} [options]
 * @returns {Promise<void>}
 */
export function pause(milliseconds, { signal, wake = globalThis } = {}) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      wake.removeEventListener?.("online", end);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    wake.addEventListener?.("online", end);
    signal?.addEventListener("abort", end);
  });
}

/**
 * Send a request again while its errors are temporary. It must have the same effect twice as once.
 *
 * @template T
 * @param {() => Promise<T>} send
 * @param {{ signal?: AbortSignal, attempts?: number }} [options]
 * @returns {Promise<T>}
 */
export async function repeat(send, { signal, attempts = 4 } = {}) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await send();
    } catch (error) {
      if (failures + 1 >= attempts || signal?.aborted || !isWorthRepeating(error)) throw error;
      await pause(delayAfter(failures, error), { signal });
    }
  }
}

/** @param {unknown} error */
function isWorthRepeating(error) {
  if (error instanceof OfflineError) return globalThis.navigator?.onLine !== false;
  if (!(error instanceof TodoError) || !isTemporary(error)) return false;
  if (NOT_SOON.has(error.code) || error.status === 500) return false;
  return (error.retryAfter ?? 0) <= LONGEST_RETRY_AFTER;
}
