/**
 * @param {Record<string, unknown>} query values that are `null`, `undefined` or empty are left out
 * @returns {string} the query with its question mark, or nothing
 */
export function queryString(query: Record<string, unknown>): string;
/**
 * @typedef {object} Request
 * @property {string} [method] `GET` by default
 * @property {string} path below the address of the service, such as `api/auth/me`
 * @property {Record<string, unknown>} [query]
 * @property {unknown} [json] the body
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {number} [timeout] milliseconds until the whole response must be there; 0: any time
 * @property {"json" | "blob" | "stream"} [as] in which form the body is returned
 */
/**
 * @typedef {object} Answer
 * @property {Headers} headers
 * @property {any} body any JSON, a Blob or a stream, as the request asked for
 */
/** Sends requests to one service. */
export class Http {
    /**
     * @param {string} url
     * @param {typeof fetch} [fetch]
     */
    constructor(url: string, fetch?: typeof globalThis.fetch);
    /** The address of the service, which ends with a slash. */
    url: string;
    /**
     * Send a request once.
     *
     * @param {Request} request
     * @returns {Promise<Answer>}
     * @throws {TodoError} if the service refuses it
     * @throws {OfflineError} if there is no response, or one that is not from the service
     */
    send(request: Request): Promise<Answer>;
    #private;
}
export type Request = {
    /**
     * `GET` by default
     */
    method?: string | undefined;
    /**
     * below the address of the service, such as `api/auth/me`
     */
    path: string;
    query?: Record<string, unknown> | undefined;
    /**
     * the body
     */
    json?: unknown;
    headers?: Record<string, string> | undefined;
    signal?: AbortSignal | undefined;
    /**
     * milliseconds until the whole response must be there; 0: any time
     */
    timeout?: number | undefined;
    /**
     * in which form the body is returned
     */
    as?: "stream" | "blob" | "json" | undefined;
};
export type Answer = {
    headers: Headers;
    /**
     * any JSON, a Blob or a stream, as the request asked for
     */
    body: any;
};
