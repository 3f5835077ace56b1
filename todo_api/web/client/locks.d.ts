/**
 * Run something while no other tab runs anything under the same name.
 *
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} run
 * @param {AbortSignal} [signal] ends the wait for the lock
 * @returns {Promise<T>}
 */
export function withLock<T>(name: string, run: () => Promise<T>, signal?: AbortSignal): Promise<T>;
