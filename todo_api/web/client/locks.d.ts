/**
 * Run something while no other tab runs anything under the same name.
 *
 * @template T
 * @param {string} name
 * @param {(hasWaited: boolean) => Promise<T>} run is told whether another tab had the lock before
 * @param {AbortSignal} [signal] ends the wait for the lock
 * @returns {Promise<T>}
 */
export function withLock<T>(name: string, run: (hasWaited: boolean) => Promise<T>, signal?: AbortSignal): Promise<T>;
