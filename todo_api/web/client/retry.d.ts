/**
 * @param {unknown} error
 * @returns {error is OfflineError | TodoError} whether the same request may succeed later
 */
export function isTemporary(error: unknown): error is OfflineError | TodoError;
/**
 * @param {number} failures how many there were in a row, 0 or more
 * @param {unknown} [error] the last one, whose `Retry-After` is the least to wait
 * @returns {number} milliseconds: exponential back-off with jitter
 */
export function delayAfter(failures: number, error?: unknown): number;
/**
 * @param {EventTarget} target
 * @param {string[]} types
 * @param {AbortSignal} signal
 * @returns {Promise<void>} until the next event of these, or the signal
 */
export function nextEvent(target: EventTarget, types: string[], signal: AbortSignal): Promise<void>;
/**
 * Wait, but not longer than until the event `online` or the signal.
 *
 * @param {number} milliseconds
 * @param {{ signal?: AbortSignal, wake?: EventTarget }} [options]
 * @returns {Promise<void>}
 */
export function pause(milliseconds: number, { signal, wake }?: {
    signal?: AbortSignal;
    wake?: EventTarget;
}): Promise<void>;
/**
 * Send a request again while its errors are temporary. It must have the same effect twice as once.
 *
 * @template T
 * @param {() => Promise<T>} send
 * @param {{ signal?: AbortSignal, attempts?: number }} [options]
 * @returns {Promise<T>}
 */
export function repeat<T>(send: () => Promise<T>, { signal, attempts }?: {
    signal?: AbortSignal;
    attempts?: number;
}): Promise<T>;
import { OfflineError } from "./errors.js";
import { TodoError } from "./errors.js";
