/** @typedef {components["schemas"]["UserProfileResponse"]} Profile */
/** @typedef {components["schemas"]["SessionResponse"]} DeviceSession */
/**
 * @typedef {object} ClientOptions
 * @property {string} [url] of the service; by default where this module came from
 * @property {SessionStorage} [storage] of the tokens; `localStorage` in a browser by default
 * @property {typeof fetch} [fetch]
 */
/**
 * A user's account at the service.
 *
 * All methods end with a `TodoError` if the service refuses the request, and with an `OfflineError`
 * if it cannot be reached. An event `session` is sent when the user has signed in or out, here or
 * in another tab, or when the session has expired; its `detail` is `{ user, reason }` with the
 * reason `signed-in`, `signed-out` or `expired`. An event `profile` is sent when `user` has changed.
 */
export class TodoClient extends EventTarget {
    /** @param {ClientOptions} [options] */
    constructor({ url, storage, fetch }?: ClientOptions);
    /** The tasks of the user. */
    tasks: Tasks;
    /** The signed-in user. It is known at once, also without a connection. @returns {User | null} */
    get user(): User | null;
    /**
     * Create an account, and sign in.
     *
     * @param {components["schemas"]["RegisterRequest"]} account
     * @returns {Promise<User>}
     */
    register({ name, email, password }: components["schemas"]["RegisterRequest"]): Promise<User>;
    /**
     * @param {components["schemas"]["LoginRequest"]} credentials
     * @returns {Promise<User>}
     */
    login({ email, password }: components["schemas"]["LoginRequest"]): Promise<User>;
    /** Revoke the session and forget the tokens. They are forgotten without a connection, too. */
    logout(): Promise<void>;
    /**
     * Ask for an email with a link. Whether there is such an account is not told.
     *
     * @param {string} email
     */
    forgotPassword(email: string): Promise<void>;
    /**
     * @param {string} token from the link
     * @param {string} newPassword
     */
    resetPassword(token: string, newPassword: string): Promise<void>;
    /**
     * Change the password, which revokes all other sessions.
     *
     * @param {string} currentPassword
     * @param {string} newPassword
     */
    changePassword(currentPassword: string, newPassword: string): Promise<void>;
    /** @returns {Promise<Profile>} */
    profile(): Promise<Profile>;
    /**
     * @param {components["schemas"]["UpdateProfileRequest"]} changes
     * @returns {Promise<Profile>}
     */
    updateProfile(changes: components["schemas"]["UpdateProfileRequest"]): Promise<Profile>;
    /** @returns {Promise<DeviceSession[]>} the most recently used first */
    sessions(): Promise<DeviceSession[]>;
    /** @param {string} id */
    revokeSession(id: string): Promise<void>;
    /** Revoke all sessions but this one. */
    revokeOtherSessions(): Promise<void>;
    /** @returns {Promise<Blob>} everything that is stored about the user, as JSON */
    exportAccount(): Promise<Blob>;
    /**
     * Permanently delete the account and everything in it.
     *
     * @param {string} [currentPassword] if the account has one
     */
    deleteAccount(currentPassword?: string): Promise<void>;
    #private;
}
export type Profile = components["schemas"]["UserProfileResponse"];
export type DeviceSession = components["schemas"]["SessionResponse"];
export type ClientOptions = {
    /**
     * of the service; by default where this module came from
     */
    url?: string | undefined;
    /**
     * of the tokens; `localStorage` in a browser by default
     */
    storage?: SessionStorage | undefined;
    fetch?: typeof fetch | undefined;
};
import { Tasks } from "./tasks.js";
import type { User } from "./session.js";
import type { components } from "./api.js";
import type { SessionStorage } from "./session.js";
