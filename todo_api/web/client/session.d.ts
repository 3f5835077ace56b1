/** @returns {SessionStorage} that of the browser, or one that lasts as long as the process */
export function defaultStorage(): SessionStorage;
/**
 * The profile has more fields than the user of a login; they are there once it was read.
 *
 * @typedef {components["schemas"]["UserResponse"]
 *   & Partial<components["schemas"]["UserProfileResponse"]>} User
 */
/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} SessionStorage */
/** @typedef {"signed-in" | "signed-out" | "expired"} SessionReason */
/** @typedef {components["schemas"]["RefreshTokenResponse"]} Tokens */
/**
 * @typedef {object} Stored
 * @property {User} user
 * @property {string} access
 * @property {string} refresh
 * @property {number} until when the access token expires, in milliseconds since 1970
 * @property {number} renew when it is time to refresh it
 */
/** Keeps tokens in a storage, and sends requests with them. */
export class Session {
    /**
     * @param {Http} http
     * @param {SessionStorage} storage
     * @param {(type: "session" | "profile", reason: SessionReason) => void} notify
     */
    constructor(http: Http, storage: SessionStorage, notify: (type: "session" | "profile", reason: SessionReason) => void);
    /** @returns {User | null} */
    get user(): User | null;
    /**
     * @param {User} user
     * @param {Tokens} tokens
     */
    signIn(user: User, tokens: Tokens): void;
    /**
     * Forget the tokens of this user, unless another one has signed in meanwhile.
     *
     * @param {"signed-out" | "expired"} reason
     * @param {string | undefined} userId
     */
    forget(reason: "signed-out" | "expired", userId: string | undefined): void;
    /** @param {User} profile */
    update(profile: User): void;
    /**
     * Send a request with the access token, which is refreshed before it expires, and once more if
     * the service refuses it.
     *
     * @param {Request} request
     * @returns {Promise<Answer>}
     */
    send(request: Request): Promise<Answer>;
    #private;
}
/**
 * The profile has more fields than the user of a login; they are there once it was read.
 */
export type User = components["schemas"]["UserResponse"] & Partial<components["schemas"]["UserProfileResponse"]>;
export type SessionStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;
export type SessionReason = "signed-in" | "signed-out" | "expired";
export type Tokens = components["schemas"]["RefreshTokenResponse"];
export type Stored = {
    user: User;
    access: string;
    refresh: string;
    /**
     * when the access token expires, in milliseconds since 1970
     */
    until: number;
    /**
     * when it is time to refresh it
     */
    renew: number;
};
import type { Request } from "./http.js";
import type { Answer } from "./http.js";
import type { Http } from "./http.js";
import type { components } from "./api.js";
