/** @import { components } from "./api.js" */
/** @import { Request } from "./http.js" */
/** @import { SessionReason, SessionStorage, User } from "./session.js" */

import { Http } from "./http.js";
import { repeat } from "./retry.js";
import { Session, defaultStorage } from "./session.js";
import { Tasks } from "./tasks.js";

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
  #http;
  #session;

  /** @param {ClientOptions} [options] */
  constructor({ url, storage = defaultStorage(), fetch } = {}) {
    super();
    this.#http = new Http(url ?? new URL("..", import.meta.url).href, fetch);
    this.#session = new Session(this.#http, storage, (type, reason) => this.#notify(type, reason));
    /** The tasks of the user. */
    this.tasks = new Tasks(this.#session);
  }

  /** The signed-in user. It is known at once, also without a connection. @returns {User | null} */
  get user() {
    return this.#session.user;
  }

  /**
   * Create an account, and sign in.
   *
   * @param {components["schemas"]["RegisterRequest"]} account
   * @returns {Promise<User>}
   */
  async register({ name, email, password }) {
    await this.#post("api/auth/register", { name, email, password });
    return await this.login({ email, password });
  }

  /**
   * @param {components["schemas"]["LoginRequest"]} credentials
   * @returns {Promise<User>}
   */
  async login({ email, password }) {
    const { body } = await this.#post("api/auth/login", { email, password });
    this.#session.signIn(body.user, body);
    return body.user;
  }

  /** Revoke the session and forget the tokens. They are forgotten without a connection, too. */
  async logout() {
    const userId = this.user?.id;
    try {
      await this.#session.send({ method: "POST", path: "api/auth/logout", timeout: 5000 });
    } catch {
      // The session stays valid at the service until it expires, but its tokens are gone.
    } finally {
      this.#session.forget("signed-out", userId);
    }
  }

  /**
   * Ask for an email with a link. Whether there is such an account is not told.
   *
   * @param {string} email
   */
  async forgotPassword(email) {
    await this.#post("api/auth/forgot-password", { email });
  }

  /**
   * @param {string} token from the link
   * @param {string} newPassword
   */
  async resetPassword(token, newPassword) {
    await this.#post("api/auth/reset-password", { token, new_password: newPassword });
  }

  /**
   * Change the password, which revokes all other sessions.
   *
   * @param {string} currentPassword
   * @param {string} newPassword
   */
  async changePassword(currentPassword, newPassword) {
    const json = { current_password: currentPassword, new_password: newPassword };
    await this.#session.send({ method: "POST", path: "api/auth/change-password", json });
  }

  /** @returns {Promise<Profile>} */
  async profile() {
    const { body } = await this.#repeat({ path: "api/auth/me" });
    this.#session.update(body);
    return body;
  }

  /**
   * @param {components["schemas"]["UpdateProfileRequest"]} changes
   * @returns {Promise<Profile>}
   */
  async updateProfile(changes) {
    const { body } = await this.#repeat({ method: "PATCH", path: "api/auth/me", json: changes });
    this.#session.update(body);
    return body;
  }

  /** @returns {Promise<DeviceSession[]>} the most recently used first */
  async sessions() {
    return (await this.#repeat({ path: "api/auth/sessions" })).body;
  }

  /** @param {string} id */
  async revokeSession(id) {
    await this.#repeat({ method: "DELETE", path: `api/auth/sessions/${encodeURIComponent(id)}` });
  }

  /** Revoke all sessions but this one. */
  async revokeOtherSessions() {
    await this.#repeat({ method: "DELETE", path: "api/auth/sessions" });
  }

  /** @returns {Promise<Blob>} everything that is stored about the user, as JSON */
  async exportAccount() {
    const request = /** @type {Request} */ ({ path: "api/auth/me/export", as: "blob", timeout: 0 });
    return (await this.#session.send(request)).body;
  }

  /**
   * Permanently delete the account and everything in it.
   *
   * @param {string} [currentPassword] if the account has one
   */
  async deleteAccount(currentPassword) {
    const userId = this.user?.id;
    const json = currentPassword === undefined ? {} : { current_password: currentPassword };
    await this.#session.send({ method: "DELETE", path: "api/auth/me", json });
    this.#session.forget("signed-out", userId);
  }

  /**
   * @param {string} path
   * @param {unknown} json
   */
  #post(path, json) {
    return this.#http.send({ method: "POST", path, json });
  }

  /** @param {Request} request */
  #repeat(request) {
    return repeat(() => this.#session.send(request));
  }

  /**
   * @param {"session" | "profile"} type
   * @param {SessionReason} reason
   */
  #notify(type, reason) {
    const detail = type === "session" ? { user: this.user, reason } : { user: this.user };
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
