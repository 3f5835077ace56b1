/**
 * The copy and the queue of one user in IndexedDB.
 *
 * The tasks are in 64 records of JSON, which are read ten times as fast as one record for each task.
 */

/** @import { QueuedWrite } from "./offline-rules.js" */
/** @import { Task } from "./tasks.js" */

import { DEFAULTS } from "./offline-rules.js";

const RECORDS = 64;

/**
 * How far the copy is.
 *
 * @typedef {object} Progress
 * @property {string | null} since from where to continue with the changes
 * @property {string | null} lastEventId from where to continue with the reminders
 * @property {boolean} complete whether all tasks were read once
 * @property {[number, number][]} replaced temporary ids and those that have replaced them lately
 */

/**
 * @typedef {object} Patch
 * @property {boolean} [reset] the copy is dropped first
 * @property {[number, Task | null][]} [tasks] null: the task is gone
 * @property {QueuedWrite[]} [put]
 * @property {number[]} [drop] the `order` of writes that leave the queue
 * @property {Partial<Progress>} [progress]
 */

/** @type {Progress} */
export const NO_PROGRESS = { since: null, lastEventId: null, complete: false, replaced: [] };

export class OfflineStore {
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
    database.onversionchange = () => database.close();
  }

  /**
   * @param {string} name
   * @returns {Promise<OfflineStore | null>} null if this browser stores nothing
   */
  static async open(name) {
    try {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("tasks");
        request.result.createObjectStore("queue", { keyPath: "order" });
        request.result.createObjectStore("progress");
      };
      return new OfflineStore(await result(request));
    } catch {
      return null;
    }
  }

  /** @param {string} name */
  static async delete(name) {
    if (globalThis.indexedDB) await result(indexedDB.deleteDatabase(name));
  }

  /** @returns {Promise<{ tasks: Task[], queue: QueuedWrite[], progress: Progress }>} */
  async load() {
    const transaction = this.#database.transaction(["tasks", "queue", "progress"]);
    const [records, queue, progress] = await Promise.all([
      result(transaction.objectStore("tasks").getAll()),
      result(transaction.objectStore("queue").getAll()),
      result(transaction.objectStore("progress").get("")),
    ]);
    return { tasks: records.flatMap(unpack), queue, progress: progress ?? NO_PROGRESS };
  }

  /**
   * Store what has changed, all of it or nothing, after what was stored before.
   *
   * @param {Patch} patch
   * @returns {Promise<void>}
   */
  async commit({ reset, tasks = [], put = [], drop = [], progress }) {
    const isOfQueue = !reset && !tasks.length && !progress;
    const stores = isOfQueue ? ["queue"] : ["tasks", "queue", "progress"];
    const transaction = this.#database.transaction(stores, "readwrite");
    const committed = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const queue = transaction.objectStore("queue");
    for (const order of drop) queue.delete(order);
    for (const write of put) queue.put(write);
    // A page that is left right now would abort what waits for its own end.
    if (isOfQueue) transaction.commit();
    else {
      const records = transaction.objectStore("tasks");
      if (reset) records.clear();
      for (const [record, changes] of byRecord(tasks)) {
        const request = records.get(record);
        request.onsuccess = () => records.put(pack(merge(request.result, changes)), record);
      }
      const request = transaction.objectStore("progress").get("");
      request.onsuccess = () => {
        const all = { ...NO_PROGRESS, ...request.result, ...progress };
        transaction.objectStore("progress").put(all, "");
      };
    }
    await committed;
  }

  close() {
    this.#database.close();
  }
}

/** @param {[number, Task | null][]} tasks */
function byRecord(tasks) {
  /** @type {Map<number, [number, Task | null][]>} */
  const found = new Map();
  for (const each of tasks) {
    const record = each[0] % RECORDS;
    const others = found.get(record);
    if (others) others.push(each);
    else found.set(record, [each]);
  }
  return found;
}

/**
 * @param {string | undefined} record
 * @param {[number, Task | null][]} changes
 */
function merge(record, changes) {
  const tasks = new Map(record === undefined ? [] : unpack(record).map((task) => [task.id, task]));
  for (const [id, task] of changes) {
    if (task) tasks.set(id, task);
    else tasks.delete(id);
  }
  return [...tasks.values()];
}

/**
 * @param {Task[]} tasks
 * @returns {string} without the values that most tasks have
 */
function pack(tasks) {
  return JSON.stringify(tasks, (name, value) => {
    const isDefault =
      value === DEFAULTS[/** @type {keyof typeof DEFAULTS} */ (name)] ||
      (Array.isArray(value) && !value.length && (name === "tags" || name === "reminders"));
    return isDefault ? undefined : value;
  });
}

/**
 * @param {string} record
 * @returns {Task[]}
 */
function unpack(record) {
  /** @type {Task[]} */
  const tasks = JSON.parse(record);
  return tasks.map((task) => ({ ...DEFAULTS, ...task }));
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
