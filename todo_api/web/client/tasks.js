/** @import { components } from "./api.js" */
/** @import { Changes, ChangesOptions, ChangesPage } from "./changes.js" */
/** @import { Request } from "./http.js" */
/** @import { Session, User } from "./session.js" */

import { followChanges } from "./changes.js";
import { ConflictError, TodoError, notSignedIn } from "./errors.js";
import { repeat } from "./retry.js";

/** @typedef {components["schemas"]["TaskResponse"]} Task */
/** @typedef {{ remind_at?: string | null, minutes_before?: number | null }} ReminderFields */
/** @typedef {{ reminders?: ReminderFields[] | null }} WithReminders */
/** @typedef {Omit<components["schemas"]["TaskCreate"], "reminders"> & WithReminders} NewTask */
/** @typedef {Omit<components["schemas"]["TaskPatch"], "reminders"> & WithReminders} TaskChanges */
/** @typedef {{ before?: number, after?: number, parent_id?: number | null }} Place */
/** @typedef {components["schemas"]["BulkOperation"]} Operation */
/** @typedef {components["schemas"]["TaskBulkResponse"]["results"][number]} OperationResult */
/** @typedef {components["schemas"]["TaskStatsResponse"]} Stats */
/** @typedef {components["schemas"]["TagCountResponse"]} TagCount */
/** @typedef {Task | number} TaskOrId a task sends its version as `If-Match`, an id sends none */

/**
 * The parameters of a list. Several values may be an array, and times a `Date`.
 *
 * @typedef {Record<string, string | number | boolean | Date | string[] | null | undefined>} Filter
 */

/**
 * @typedef {object} Page
 * @property {Task[]} tasks
 * @property {string | null} next the `cursor` of the next page, or null on the last one
 * @property {number | null} total how many tasks match, if `count` was true
 */

/**
 * @typedef {object} Write
 * @property {string} method
 * @property {string} [path] below the tasks
 * @property {Filter} [query]
 * @property {unknown} [json]
 * @property {number | null} [version] which the task must have
 * @property {string} [key] by which the service recognises the write if it is sent again
 * @property {number} [attempts]
 */

/**
 * The tasks of the signed-in user.
 *
 * Each write has an `Idempotency-Key`, and is sent again with back-off after errors that are
 * temporary. It takes effect once. Of a task that was passed as an object, the version must be the
 * current one; otherwise the write ends with a `ConflictError`.
 */
export class Tasks {
  #session;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /**
   * Read a page. Read the next one with `page({ ...filter, cursor: next })`.
   *
   * @param {Filter} [filter]
   * @returns {Promise<Page>}
   */
  async page(filter = {}) {
    const { headers, body } = await this.#read("", filter);
    const total = headers.get("X-Total-Count");
    return {
      tasks: Array.isArray(body) ? body : body.tasks,
      next: nextCursor(headers.get("Link")),
      total: total === null ? null : Number(total),
    };
  }

  /**
   * Read all tasks that match, page by page.
   *
   * @param {Filter} [filter]
   * @returns {AsyncIterableIterator<Task>}
   */
  async *list(filter = {}) {
    /** @type {string | null} */
    let cursor = null;
    do {
      /** @type {Page} */
      const page = await this.page(cursor ? { ...filter, offset: null, skip: null, cursor } : filter);
      yield* page.tasks;
      cursor = page.next;
    } while (cursor);
  }

  /**
   * @param {number} id
   * @returns {Promise<Task>}
   */
  async get(id) {
    return (await this.#read(`/${id}`)).body;
  }

  /**
   * @param {NewTask} fields
   * @returns {Promise<Task>}
   */
  async create(fields) {
    return await this.write({ method: "POST", json: fields });
  }

  /**
   * @param {TaskOrId} task
   * @param {TaskChanges} changes only these fields change
   * @returns {Promise<Task>}
   */
  async update(task, changes) {
    return await this.write({ method: "PATCH", ...target(task), json: changes });
  }

  /**
   * Complete or reopen a task. Its open subtasks are completed with it.
   *
   * @param {TaskOrId} task
   * @param {boolean} [completed]
   * @returns {Promise<Task>}
   */
  async complete(task, completed = true) {
    return await this.write({ method: "PATCH", ...target(task, "/complete"), json: { completed } });
  }

  /**
   * Move a task to the trash with its subtasks, or delete it permanently.
   *
   * @param {TaskOrId} task
   * @param {{ permanent?: boolean }} [options]
   * @returns {Promise<void>}
   */
  async delete(task, { permanent } = {}) {
    const query = permanent ? { permanent } : {};
    await this.write({ method: "DELETE", ...target(task), query });
  }

  /**
   * Take a task out of the trash, with the subtasks that were deleted with it.
   *
   * @param {TaskOrId} task
   * @returns {Promise<Task>}
   */
  async restore(task) {
    const { path } = target(task, "/restore");
    return await this.write({ method: "POST", path });
  }

  /**
   * Put a task before or after another one, or under another parent, or both.
   *
   * @param {TaskOrId} task
   * @param {Place} place
   * @returns {Promise<Task>}
   */
  async move(task, place) {
    return await this.write({ method: "POST", ...target(task, "/move"), json: place });
  }

  /**
   * @param {number[]} ids up to 500 tasks in their new order
   * @returns {Promise<Task[]>}
   */
  async reorder(ids) {
    return await this.write({ method: "PATCH", path: "/reorder", json: { task_ids: ids } });
  }

  /**
   * Run up to 500 operations: all take effect or none.
   *
   * @param {Operation[]} operations
   * @returns {Promise<OperationResult[]>}
   */
  async bulk(operations) {
    return (await this.write({ method: "POST", path: "/bulk", json: { operations } })).results;
  }

  /**
   * @param {Filter} filter
   * @returns {Promise<number>} how many tasks were open
   */
  async completeAll(filter) {
    return (await this.write({ method: "POST", path: "/complete", query: filter })).completed;
  }

  /**
   * @param {Filter} filter
   * @returns {Promise<number>} how many tasks were moved to the trash
   */
  async deleteAll(filter) {
    return (await this.write({ method: "DELETE", query: filter })).deleted;
  }

  /** @returns {Promise<Stats>} */
  async stats() {
    return (await this.#read("/stats")).body;
  }

  /** @returns {Promise<TagCount[]>} those of most tasks first */
  async tags() {
    return (await this.#read("/tags")).body;
  }

  /**
   * Follow the changes of the tasks, without an end: of all tasks first, or since an earlier `next`.
   *
   * They come by a stream of events, or by requests that wait where streams do not get through.
   * Without a connection it tries again with back-off. Of a result with `reset`, drop the copy first.
   * It ends when the signal is aborted, and with a `TodoError` when the session has expired.
   *
   * @param {ChangesOptions} [options]
   * @returns {AsyncIterableIterator<Changes>}
   */
  changes(options = {}) {
    return followChanges(
      {
        read: async (query, signal) => {
          const timeout = 30_000 + 1000 * Number(query.wait ?? 0);
          return (await this.#send({ path: "/changes", query, signal, timeout })).body;
        },
        open: async (headers, signal) => {
          const timeout = 0;
          return (await this.#send({ path: "/events", headers, signal, timeout, as: "stream" })).body;
        },
      },
      options,
    );
  }

  /**
   * Read one page of the changes, for programs that do not follow them.
   *
   * @param {string | null} since
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<ChangesPage>}
   */
  async changesSince(since, { signal } = {}) {
    return (await this.#send({ path: "/changes", query: { since }, signal })).body;
  }

  /**
   * Send a write again until it is answered, at most so many times.
   *
   * @param {Write} write
   * @returns {Promise<any>} the body of the response
   */
  async write({ method, path = "", query, json, version = null, key = newKey(), attempts }) {
    /** @type {Record<string, string>} */
    const headers = version ? { "If-Match": `"${version}"` } : {};
    const keyed = { ...headers, "Idempotency-Key": key };
    const request = { method, path, query, json };
    const user = this.#session.user;
    try {
      return (await repeat(() => this.#send({ ...request, headers: keyed }, user), { attempts })).body;
    } catch (error) {
      if (!(error instanceof TodoError)) throw error;
      if (error.code === "too_many_kept_responses") {
        // No more keys are kept today. Without one the write must not be sent twice.
        return (await this.#send({ ...request, headers }, user)).body;
      }
      if (error.status !== 412 || !version) throw error;
      const [, id] = path.split("/");
      const current = await repeat(() => this.#send({ path: `/${id}` }, user));
      throw new ConflictError(error, current.body);
    }
  }

  /**
   * @param {string} path
   * @param {Filter} [query]
   */
  #read(path, query) {
    return repeat(() => this.#send({ path, query }));
  }

  /**
   * @param {Request} request
   * @param {User | null} [user] whose tasks it is about, in case another one signs in meanwhile
   */
  async #send(request, user = this.#session.user) {
    if (!user || user.id !== this.#session.user?.id) throw notSignedIn();
    const id = encodeURIComponent(user.id);
    const path = `api/${id}/tasks${request.path}`;
    return await this.#session.send({ ...request, path, query: { ...request.query, url_user_id: user.id } });
  }
}

/** @returns {string} a key for one write */
export function newKey() {
  // randomUUID is missing on pages without https.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {TaskOrId} task
 * @param {string} [action]
 */
function target(task, action = "") {
  const [id, version] = typeof task === "number" ? [task, null] : [task.id, task.version];
  return { path: `/${id}${action}`, version };
}

/**
 * @param {string | null} link RFC 8288
 * @returns {string | null}
 */
function nextCursor(link) {
  const found = link?.match(/<([^>]*)>[^,]*rel="?next"?/);
  return found ? new URL(found[1], "http://localhost").searchParams.get("cursor") : null;
}
