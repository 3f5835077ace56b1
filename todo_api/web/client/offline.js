/** @import { TodoClient } from "./client.js" */
/** @import { LocalTask, QueuedWrite } from "./offline-rules.js" */
/** @import { Patch } from "./offline-store.js" */
/** @import { NewTask, Place, Task, TaskChanges } from "./tasks.js" */

import { TodoError, notSignedIn } from "./errors.js";
import { withLock } from "./locks.js";
import { OfflineCopy, plain } from "./offline-copy.js";
import { CONTENT, completion, fieldsOf, withStoredIds } from "./offline-rules.js";
import { release, remember, remembered } from "./offline-journal.js";
import { OfflineStore } from "./offline-store.js";
import { OfflineSync } from "./offline-sync.js";
import { positionOfNewTask } from "./positions.js";
import { nextEvent } from "./retry.js";
import { newKey } from "./tasks.js";

const REMEMBERED_DELETIONS = 500;

/**
 * By how many microseconds (a year) a task that is not stored yet comes before those that are: the
 * service puts it first when it gets it, however long that takes.
 */
const UNSENT_AHEAD = 366 * 86_400_000_000;

/** @typedef {"loading" | "online" | "offline"} OfflineState */

/**
 * What one tab tells the others.
 *
 * @typedef {{ patch: Patch, replaced: [number, number][] }
 *   | { isReachable: boolean }
 *   | { event: string, detail: any }
 *   | { ask: "state" | "sync" }
 *   | { synced: true }} Message
 */

/**
 * A copy of a user's tasks that works without a connection.
 *
 * Writes take effect in the copy at once, and wait in a queue until the service has answered, also
 * while the page is closed. One tab sends the queue in its order and follows the changes; all tabs
 * show the same. Events: `change` with `{ ids, replaced }` (`ids` is null if everything may have
 * changed), `state`, `conflict` with `{ write, current, retry }`, `refused` with `{ write, error }`
 * and `reminder` with `{ id, task_id, remind_at }`. The last three are sent in every tab.
 */
export class OfflineTasks extends EventTarget {
  #client;
  #userId;
  #name;
  #channel;
  #copy = new OfflineCopy();
  /** @type {OfflineStore | null} */
  #store = null;
  /** @type {Promise<void>} */
  #commits = Promise.resolve();
  /** @type {Set<QueuedWrite>} Writes that are not on disk yet. */
  #uncommitted = new Set();
  /** @type {Map<number, Task[]>} What was deleted here lately, to be shown at once if restored. */
  #removed = new Map();
  #closing = new AbortController();
  #wake = new EventTarget();
  /** @type {OfflineSync | null} In the tab that leads. */
  #sync = null;
  /** @type {Message[] | null} What others tell while the copy is loaded. */
  #heard = null;
  #isReachable = globalThis.navigator?.onLine !== false;
  #told = "";

  /**
   * Use `OfflineTasks.open` instead.
   *
   * @param {TodoClient} client
   * @param {string} userId
   */
  constructor(client, userId) {
    super();
    this.#client = client;
    this.#userId = userId;
    this.#name = nameOf(userId);
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
  }

  /**
   * Load the copy of the signed-in user, and keep it up to date in the background.
   *
   * @param {TodoClient} client
   * @returns {Promise<OfflineTasks>}
   */
  static async open(client) {
    if (!client.user) throw notSignedIn();
    const opened = new OfflineTasks(client, client.user.id);
    opened.#store = await OfflineStore.open(opened.#name);
    await opened.#recover();
    await opened.#load();
    opened.#run();
    return opened;
  }

  /**
   * Delete the copy and the queue of a user from this browser.
   *
   * @param {string} userId
   */
  static async forget(userId) {
    for (const write of remembered(nameOf(userId))) release(nameOf(userId), write);
    await OfflineStore.delete(nameOf(userId));
  }

  /** Stop. The queue stays, and is sent when the copy is opened again. */
  close() {
    this.#closing.abort();
    this.#channel.close();
    this.#commits.finally(() => this.#store?.close());
  }

  /** @returns {ReadonlyMap<number, LocalTask>} the copy with the queued writes applied */
  get tasks() {
    return this.#copy.tasks;
  }

  /** @returns {OfflineState} `loading` until all tasks were read once */
  get state() {
    if (!this.#isReachable) return "offline";
    return this.#copy.progress.complete ? "online" : "loading";
  }

  /** How many writes the service has not answered. */
  get pending() {
    return this.#copy.queue.length;
  }

  /**
   * @param {number} id also a temporary one that was replaced
   * @returns {LocalTask | undefined}
   */
  get(id) {
    return this.#copy.get(id);
  }

  /**
   * Create a task. It has a negative id until the service has stored it.
   *
   * @param {NewTask} fields
   * @returns {LocalTask}
   */
  create(fields) {
    const now = new Date();
    const stamp = this.#copy.stamp();
    const id = -stamp;
    const shown = {
      user_id: this.#userId,
      version: 0,
      created_at: now.toISOString(),
      updated_at: now.toISOString(),
      position: positionOfNewTask(stamp + UNSENT_AHEAD),
      ...fieldsOf(fields, now),
    };
    this.#enqueue("create", id, { body: fields, shown });
    return this.#copy.existing(id);
  }

  /**
   * @param {number} id
   * @param {TaskChanges} changes
   * @returns {LocalTask}
   */
  update(id, changes) {
    return this.#change("update", id, changes, fieldsOf(changes, new Date()));
  }

  /**
   * Complete or reopen a task. Its open subtasks are completed with it.
   *
   * @param {number} id
   * @param {boolean} [completed]
   * @returns {LocalTask}
   */
  complete(id, completed = true) {
    return this.#change("complete", id, { completed }, completion(completed, new Date()));
  }

  /**
   * Move a task to the trash, with its subtasks.
   *
   * @param {number} id
   */
  delete(id) {
    const task = this.#copy.existing(id);
    this.#remember(task.id, [task, ...this.#copy.childrenOf(task.id)].map(plain));
    this.#enqueue("delete", task.id, { seen: pick(task, CONTENT), version: task.version });
  }

  /**
   * Take a task out of the trash. What was deleted here lately is shown again at once.
   *
   * @param {number} id
   */
  restore(id) {
    const stored = this.#copy.resolve(id);
    const [, family] = [...this.#removed].find(([key]) => this.#copy.resolve(key) === stored) ?? [];
    this.#enqueue("restore", stored, { family: family ?? [] });
  }

  /**
   * Put a task before or after another one, or under another parent, or both.
   *
   * @param {number} id
   * @param {Place} place
   * @returns {LocalTask}
   */
  move(id, place) {
    const task = this.#copy.existing(id);
    const parent = place.parent_id === undefined ? {} : { parent_id: place.parent_id };
    const position = this.#copy.positionAt(task, place);
    return this.#change("move", id, place, { ...parent, position }, Object.keys(parent));
  }

  /** Send the queue and read the changes now. It ends when that was done, or could not be. */
  async sync() {
    if (this.#closing.signal.aborted) return;
    await this.#commits;
    const synced = nextEvent(this, ["synced"], this.#closing.signal);
    if (this.#sync) this.#sync.soon();
    else this.#send({ ask: "sync" });
    await synced;
  }

  /**
   * @param {"update" | "complete" | "move"} kind
   * @param {number} id
   * @param {TaskChanges | Place} body
   * @param {Partial<Task>} shown
   * @param {string[]} [seen] the fields that nobody else may have changed; by default all
   * @returns {LocalTask}
   */
  #change(kind, id, body, shown, seen = Object.keys(shown)) {
    const task = this.#copy.existing(id);
    const fields = /** @type {(keyof Task)[]} */ (seen.filter((name) => name !== "completed_at"));
    const updated_at = new Date().toISOString();
    this.#enqueue(kind, task.id, {
      body,
      shown: { ...shown, updated_at },
      seen: pick(task, fields),
      version: task.version,
    });
    return this.#copy.existing(id);
  }

  /**
   * @param {QueuedWrite["kind"]} kind
   * @param {number} id
   * @param {Partial<QueuedWrite>} rest
   */
  #enqueue(kind, id, rest) {
    const common = { body: null, version: 0, seen: {}, shown: {}, family: [] };
    const order = this.#copy.stamp();
    const write = { ...common, ...rest, order, key: newKey(), kind, id };
    const stored = withStoredIds(write, (each) => this.#copy.resolve(each));
    this.#notify(this.#copy.push(stored));
    remember(this.#name, stored);
    this.#uncommitted.add(stored);
    const patch = { put: [stored] };
    this.#commit(patch).then(() => {
      this.#uncommitted.delete(stored);
      release(this.#name, stored);
      this.#send({ patch, replaced: [] });
      this.#wake.dispatchEvent(new Event("queued"));
    });
  }

  /**
   * @param {number} id
   * @param {Task[]} family
   */
  #remember(id, family) {
    const [oldest] = this.#removed.keys();
    if (this.#removed.size >= REMEMBERED_DELETIONS) this.#removed.delete(oldest);
    this.#removed.set(id, family);
  }

  // The disk

  /** Store the writes that a page has left behind when it was closed. */
  async #recover() {
    const put = remembered(this.#name);
    if (put.length) await this.#commit({ put });
    for (const write of put) release(this.#name, write);
  }

  /** Load everything: when it is opened, and when this tab begins to lead. */
  async #load() {
    this.#heard = [];
    const loaded = await this.#store?.load().catch(() => undefined);
    const heard = this.#heard;
    this.#heard = null;
    if (loaded) {
      this.#copy.load(loaded, this.#uncommitted);
      this.#notify(null);
    }
    for (const message of heard) this.#receive(message);
  }

  /**
   * @param {Patch} patch
   * @returns {Promise<void>} until this and everything before is on disk
   */
  #commit(patch) {
    // A browser without room still shows everything, until the page is closed.
    const committed = this.#store?.commit(patch).catch(() => undefined);
    const before = this.#commits;
    this.#commits = (async () => {
      await before;
      await committed;
    })();
    return this.#commits;
  }

  // The tabs

  /** Wait until no other tab leads, and lead. */
  async #run() {
    const { signal } = this.#closing;
    const retry = () => this.#wake.dispatchEvent(new Event("online"));
    globalThis.addEventListener?.("online", retry);
    this.#client.addEventListener("session", retry);
    this.#send({ ask: "state" });
    try {
      await withLock(this.#name, (hasWaited) => this.#lead(hasWaited), signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      globalThis.removeEventListener?.("online", retry);
      this.#client.removeEventListener("session", retry);
    }
  }

  /** @param {boolean} hasWaited */
  async #lead(hasWaited) {
    if (hasWaited) {
      // The tab that has led may have stored what it could not tell any more.
      await this.#commits;
      await this.#load();
    }
    this.#sync = new OfflineSync({
      client: this.#client,
      userId: this.#userId,
      copy: this.#copy,
      signal: this.#closing.signal,
      wake: this.#wake,
      states: this,
      isReachable: () => this.#isReachable,
      setReachable: (isReachable) => this.#setReachable(isReachable),
      patch: (patch, replaced = []) => {
        this.#notify(this.#copy.apply(patch, replaced), replaced);
        this.#commit(patch).then(() => this.#send({ patch, replaced }));
      },
      tell: (event, detail) => {
        this.#send({ event, detail });
        this.#dispatch(event, detail);
      },
      endSync: () => {
        this.#commits.then(() => {
          this.#send({ synced: true });
          this.dispatchEvent(new Event("synced"));
        });
      },
    });
    await this.#sync.run();
  }

  /** @param {Message} message */
  #receive(message) {
    if (this.#heard) {
      this.#heard.push(message);
    } else if ("patch" in message) {
      this.#notify(this.#copy.apply(message.patch, message.replaced), message.replaced);
      if (message.patch.put) this.#wake.dispatchEvent(new Event("queued"));
    } else if ("isReachable" in message) {
      this.#isReachable = message.isReachable;
      this.#notifyState();
    } else if ("event" in message) {
      this.#dispatch(message.event, message.detail);
    } else if ("synced" in message) {
      this.dispatchEvent(new Event("synced"));
    } else if (message.ask === "sync") {
      this.#sync?.soon();
    } else if (this.#sync) {
      this.#send({ isReachable: this.#isReachable });
    }
  }

  /** @param {Message} message */
  #send(message) {
    if (!this.#closing.signal.aborted) this.#channel.postMessage(message);
  }

  // The events

  /**
   * @param {number[] | null} ids
   * @param {[number, number][]} [replaced]
   */
  #notify(ids, replaced = []) {
    const detail = { ids, replaced: new Map(replaced) };
    if (!ids || ids.length || replaced.length) this.dispatchEvent(new CustomEvent("change", { detail }));
    this.#notifyState();
  }

  #notifyState() {
    const told = `${this.state} ${this.pending}`;
    if (told === this.#told) return;
    this.#told = told;
    this.dispatchEvent(new Event("state"));
  }

  /** @param {boolean} isReachable */
  #setReachable(isReachable) {
    if (this.#isReachable === isReachable) return;
    this.#isReachable = isReachable;
    this.#send({ isReachable });
    this.#notifyState();
    if (isReachable) this.#wake.dispatchEvent(new Event("online"));
  }

  /**
   * @param {string} event
   * @param {any} detail
   */
  #dispatch(event, detail) {
    const { write, error } = detail;
    if (event === "conflict") detail = { ...detail, retry: () => this.#retry(write) };
    if (event === "refused") {
      const problem = { ...error, request_id: error.requestId };
      detail = { write, error: new TodoError(problem, error.retryAfter) };
    }
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  /**
   * Queue a write again, over the current version.
   *
   * @param {QueuedWrite} write
   */
  #retry({ kind, id, body, shown, seen }) {
    if (!this.get(id)) this.restore(id);
    const task = this.get(id);
    const fields = /** @type {(keyof Task)[]} */ (Object.keys(seen));
    const now = task ? { seen: pick(task, fields), version: task.version } : {};
    this.#enqueue(kind, this.#copy.resolve(id), { body, shown, ...now });
  }
}

/** @param {string} userId */
function nameOf(userId) {
  return `todo-${userId}`;
}

/**
 * @param {Task} task
 * @param {readonly (keyof Task)[]} fields
 * @returns {Partial<Task>}
 */
function pick(task, fields) {
  return Object.fromEntries(fields.map((name) => [name, task[name]]));
}
