/**
 * @typedef {object} StreamEvent
 * @property {string} type
 * @property {string} data
 * @property {string | null} id
 * @property {number | null} retry milliseconds to wait before connecting again
 */
/**
 * Read the events of a stream until it ends.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {number} silence milliseconds after which the connection counts as lost
 * @returns {AsyncGenerator<StreamEvent, void, void>}
 * @throws {OfflineError} if nothing was heard for that time, or the connection broke
 */
export function readEvents(body: ReadableStream<Uint8Array>, silence: number): AsyncGenerator<StreamEvent, void, void>;
/**
 * @template T
 * @param {number} milliseconds
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function within<T>(milliseconds: number, promise: Promise<T>): Promise<T>;
export type StreamEvent = {
    type: string;
    data: string;
    id: string | null;
    /**
     * milliseconds to wait before connecting again
     */
    retry: number | null;
};
