/** The signed-in user and their tokens, which all tabs of a browser share. */

/** @import { components } from "./api.js" */
/** @import { Answer, Http, Request } from "./http.js" */

import { OfflineError, TodoError, notSignedIn } from "./errors.js";
import { withLock } from "./locks.js";
import { repeat } from "./retry.js";

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
  #http;
  #storage;
  #key;
  #notify;
  /** @type {string | null} */
  #text = null;
  /** @type {Stored | null} */
  #stored = null;

  /**
   * @param {Http} http
   * @param {SessionStorage} storage
   * @param {(type: "session" | "profile", reason: SessionReason) => void} notify
   */
  constructor(http, storage, notify) {
    this.#http = http;
    this.#storage = storage;
    this.#key = `todo:${http.url}`;
    this.#notify = notify;
    this.#read();
    globalThis.addEventListener?.("storage", (event) => this.#onStorage(event));
  }

  /** @returns {User | null} */
  get user() {
    return this.#read()?.user ?? null;
  }

  /**
   * @param {User} user
   * @param {Tokens} tokens
   */
  signIn(user, tokens) {
    this.#write(user, tokens);
    this.#notify("session", "signed-in");
  }

  /**
   * Forget the tokens of this user, unless another one has signed in meanwhile.
   *
   * @param {"signed-out" | "expired"} reason
   * @param {string | undefined} userId
   */
  forget(reason, userId) {
    const stored = this.#read();
    if (!stored || stored.user.id !== userId) return;
    if (reason === "expired") this.#storage.setItem(this.#key, JSON.stringify({ reason }));
    else this.#storage.removeItem(this.#key);
    this.#notify("session", reason);
  }

  /** @param {User} profile */
  update(profile) {
    const stored = this.#read();
    if (stored?.user.id !== profile.id) return;
    const user = { ...stored.user, ...profile };
    if (JSON.stringify(user) === JSON.stringify(stored.user)) return;
    this.#storage.setItem(this.#key, JSON.stringify({ ...stored, user }));
    this.#notify("profile", "signed-in");
  }

  /**
   * Send a request with the access token, which is refreshed before it expires, and once more if
   * the service refuses it.
   *
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  async send(request) {
    const userId = this.user?.id;
    const token = await this.#token();
    if (this.user?.id !== userId) throw notSignedIn();
    try {
      return await this.#http.send(withToken(request, token));
    } catch (error) {
      if (!(error instanceof TodoError) || error.status !== 401) throw error;
      if (error.code === "account_gone") this.forget("signed-out", userId);
      if (error.code !== "invalid_token") throw error;
    }
    const renewed = await this.#refresh(token);
    if (this.user?.id !== userId) throw notSignedIn();
    return await this.#http.send(withToken(request, renewed));
  }

  /** @returns {Promise<string>} */
  async #token() {
    const stored = this.#read();
    if (!stored) throw notSignedIn();
    if (Date.now() < stored.renew) return stored.access;
    try {
      return await this.#refresh(stored.access);
    } catch (error) {
      const isValid = Date.now() < stored.until;
      if (isValid && (error instanceof OfflineError || this.#read())) return stored.access;
      throw error;
    }
  }

  /**
   * Replace this access token, unless another tab has done so.
   *
   * @param {string} used
   * @returns {Promise<string>}
   */
  #refresh(used) {
    return withLock(this.#key, async () => {
      const stored = this.#read();
      if (!stored) throw notSignedIn();
      if (stored.access !== used) return stored.access;
      const request = {
        method: "POST",
        path: "api/auth/refresh",
        json: { refresh_token: stored.refresh },
        timeout: 4000,
      };
      try {
        // A token that was used is accepted again for ten seconds, in case its response was lost.
        const { body } = await repeat(() => this.#http.send(request), { attempts: 2 });
        if (this.#read()?.access !== used) throw notSignedIn();
        this.#write(stored.user, body);
        return body.access_token;
      } catch (error) {
        const isRefused = error instanceof TodoError && error.status === 401;
        // Not if a user has signed in meanwhile, in this or another tab.
        if (isRefused && this.#read()?.access === used) this.forget("expired", stored.user.id);
        throw error;
      }
    });
  }

  /**
   * @param {User} user
   * @param {Tokens} tokens
   */
  #write(user, tokens) {
    const life = tokens.expires_in * 1000;
    const stored = {
      user,
      access: tokens.access_token,
      refresh: tokens.refresh_token,
      until: Date.now() + life,
      renew: Date.now() + life - Math.min(60_000, life / 4),
    };
    this.#storage.setItem(this.#key, JSON.stringify(stored));
  }

  /** @returns {Stored | null} */
  #read() {
    const text = this.#storage.getItem(this.#key);
    if (text !== this.#text) {
      this.#text = text;
      this.#stored = parse(text);
    }
    return this.#stored;
  }

  /** @param {StorageEvent} event */
  #onStorage(event) {
    if (event.storageArea !== this.#storage || (event.key !== null && event.key !== this.#key)) return;
    const before = parse(event.key ? event.oldValue : this.#text)?.user ?? null;
    const after = this.user;
    if (before?.id !== after?.id) this.#notify("session", after ? "signed-in" : this.#reason());
    else if (JSON.stringify(before) !== JSON.stringify(after)) this.#notify("profile", "signed-in");
  }

  /** @returns {SessionReason} */
  #reason() {
    return this.#text?.includes('"expired"') ? "expired" : "signed-out";
  }
}

/** @returns {SessionStorage} that of the browser, or one that lasts as long as the process */
export function defaultStorage() {
  try {
    if (globalThis.window?.localStorage) return window.localStorage;
  } catch {
    // The user has forbidden it.
  }
  /** @type {Map<string, string>} */
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

/**
 * @param {Request} request
 * @param {string} token
 * @returns {Request}
 */
function withToken(request, token) {
  return { ...request, headers: { ...request.headers, Authorization: `Bearer ${token}` } };
}

/**
 * @param {string | null} text
 * @returns {Stored | null}
 */
function parse(text) {
  try {
    const found = JSON.parse(text ?? "null");
    return found?.user?.id && found.access ? found : null;
  } catch {
    return null;
  }
}
