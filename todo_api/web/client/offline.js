/** @import { TodoClient } from "./client.js" */
/** @import { LocalTask, QueuedWrite } from "./offline-rules.js" */
/** @import { Patch, Progress } from "./offline-store.js" */
/** @import { Changes } from "./changes.js" */
/** @import { NewTask, Place, Task, TaskChanges } from "./tasks.js" */

import { ConflictError, OfflineError, TodoError, notSignedIn } from "./errors.js";
import { withLock } from "./locks.js";
import {
  CONTENT,
  carryOver,
  completion,
  dependsOn,
  fieldsOf,
  isInConflict,
  isSame,
  show,
  withStoredIds,
} from "./offline-rules.js";
import { NO_PROGRESS, OfflineStore } from "./offline-store.js";
import { byPosition, positionBetween, positionOfNewTask } from "./positions.js";
import { delayAfter, isTemporary, nextEvent, pause } from "./retry.js";
import { newKey } from "./tasks.js";

const TRIES_OF_INTERNAL_ERRORS = 6;
const REMEMBERED = 500;

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
  #name;
  #userId;
  /** @type {OfflineStore | null} */
  #store = null;
  #channel;
  #closing = new AbortController();
  #wake = new EventTarget();
  #leads = false;

  /** @type {Map<number, LocalTask>} The copy with the queued writes applied. */
  #view = new Map();
  /** @type {Map<number, Set<number>>} The subtasks of each task that has some. */
  #children = new Map();
  /** @type {Map<number, LocalTask | undefined>} What the view showed without the queue. */
  #covered = new Map();
  /** @type {QueuedWrite[]} */
  #queue = [];
  /** @type {Progress} */
  #progress = NO_PROGRESS;
  /** @type {Map<number, number>} Stored ids by the temporary ids that they have replaced. */
  #stored = new Map();
  /** @type {Map<number, string>} */
  #keys = new Map();
  /** @type {Map<number, Task[]>} What was deleted lately, to be restored at once. */
  #removed = new Map();
  /** @type {Promise<unknown>} */
  #commits = Promise.resolve();
  /** @type {Set<QueuedWrite>} Writes that are not on disk yet. */
  #uncommitted = new Set();
  /** @type {Message[] | null} What others tell while the copy is loaded. */
  #heard = null;
  #isReachable = globalThis.navigator?.onLine !== false;
  #isSyncing = false;
  #internalErrors = 0;
  #last = 0;
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
    if (!client.user) throw new TypeError("Sign in first.");
    const opened = new OfflineTasks(client, client.user.id);
    opened.#store = await OfflineStore.open(opened.#name);
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
    return this.#view;
  }

  /** @returns {OfflineState} `loading` until all tasks were read once */
  get state() {
    if (!this.#isReachable) return "offline";
    return this.#progress.complete ? "online" : "loading";
  }

  /** How many writes the service has not answered. */
  get pending() {
    return this.#queue.length;
  }

  /**
   * @param {number} id also a temporary one that was replaced
   * @returns {LocalTask | undefined}
   */
  get(id) {
    return this.#view.get(this.#resolve(id));
  }

  /**
   * Create a task. It has a negative id until the service has stored it.
   *
   * @param {NewTask} fields
   * @returns {LocalTask}
   */
  create(fields) {
    const now = new Date();
    const stamp = this.#stamp();
    const id = -stamp;
    const shown = {
      user_id: this.#userId,
      version: 0,
      created_at: now.toISOString(),
      updated_at: now.toISOString(),
      position: positionOfNewTask(stamp),
      ...fieldsOf(fields, now),
    };
    this.#enqueue("create", id, { body: fields, shown });
    return /** @type {LocalTask} */ (this.get(id));
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
    const task = this.#existing(id);
    this.#remember(task.id, [task, ...this.#childrenOf(task.id)].map(plain));
    this.#enqueue("delete", task.id, { seen: pick(task, CONTENT), version: task.version });
  }

  /**
   * Take a task out of the trash. What was deleted here lately is shown again at once.
   *
   * @param {number} id
   */
  restore(id) {
    const stored = this.#resolve(id);
    this.#enqueue("restore", stored, { family: this.#removed.get(stored) ?? [] });
  }

  /**
   * Put a task before or after another one, or under another parent, or both.
   *
   * @param {number} id
   * @param {Place} place
   * @returns {LocalTask}
   */
  move(id, place) {
    const task = this.#existing(id);
    const parent = place.parent_id === undefined ? {} : { parent_id: place.parent_id };
    const position = this.#positionAt(task, place);
    return this.#change("move", id, place, { ...parent, position }, Object.keys(parent));
  }

  /** Send the queue and read the changes now. It ends when that was done, or could not be. */
  async sync() {
    if (this.#closing.signal.aborted) return;
    const synced = nextEvent(this, ["synced"], this.#closing.signal);
    await this.#commits;
    if (this.#leads) this.#syncSoon();
    else this.#send({ ask: "sync" });
    await synced;
  }

  // The copy

  /** Load everything, when it is opened and when this tab begins to lead. */
  async #load() {
    this.#heard = [];
    const loaded = await this.#store?.load().catch(() => undefined);
    const heard = this.#heard;
    this.#heard = null;
    if (loaded) {
      this.#progress = loaded.progress;
      for (const [temporary, id] of loaded.progress.replaced) this.#stored.set(temporary, id);
      this.#view.clear();
      this.#children.clear();
      this.#covered.clear();
      for (const task of loaded.tasks) this.#put(this.#local(task));
      const orders = new Set(loaded.queue.map((write) => write.order));
      const fresh = [...this.#uncommitted].filter((write) => !orders.has(write.order));
      this.#queue = [...loaded.queue, ...fresh];
      this.#last = Math.max(this.#last, this.#queue.at(-1)?.order ?? 0);
      for (const write of this.#queue) this.#show(write);
      this.#notify(null);
    }
    for (const message of heard) this.#receive(message);
  }

  /**
   * Change the copy and the queue, below the writes that stay in it.
   *
   * @param {Patch} patch
   * @param {[number, number][]} [replaced]
   */
  #apply({ reset, tasks = [], put = [], drop = [], progress }, replaced = []) {
    const ids = new Set(this.#covered.keys());
    for (const [id, task] of this.#covered) this.#set(id, task);
    this.#covered.clear();
    if (reset) {
      this.#view.clear();
      this.#children.clear();
    }
    for (const [temporary, id] of replaced) {
      this.#stored.set(temporary, id);
      this.#keys.set(id, keyOf(temporary));
    }
    for (const [id, task] of tasks) {
      const known = this.#view.get(id);
      if (task && known && (task.version < known.version || isSame(task, plain(known)))) continue;
      this.#set(id, task ? this.#local(task) : undefined);
      ids.add(id);
    }
    this.#progress = { ...this.#progress, ...progress };
    const gone = new Set([...drop, ...put.map((write) => write.order)]);
    this.#queue = this.#queue.filter((write) => !gone.has(write.order)).concat(put);
    this.#queue.sort((one, other) => one.order - other.order);
    for (const write of this.#queue) this.#show(write);
    for (const id of this.#covered.keys()) ids.add(id);
    this.#notify(reset ? null : [...ids], replaced);
  }

  /** @param {QueuedWrite} write */
  #show(write) {
    const resolved = withStoredIds(write, (id) => this.#resolve(id));
    /** @param {number} id */
    const cover = (id) => {
      if (!this.#covered.has(id)) this.#covered.set(id, this.#view.get(id));
    };
    show(resolved, {
      get: (id) => this.#view.get(id),
      children: (id) => this.#childrenOf(id),
      put: (task) => {
        cover(task.id);
        this.#set(task.id, { ...this.#local(task), pending: true });
      },
      remove: (id) => {
        cover(id);
        this.#set(id, undefined);
      },
    });
  }

  /**
   * @param {number} id
   * @param {LocalTask | undefined} task
   */
  #set(id, task) {
    const parent = this.#view.get(id)?.parent_id;
    if (parent) this.#children.get(parent)?.delete(id);
    if (task) this.#put(task);
    else this.#view.delete(id);
  }

  /** @param {LocalTask} task */
  #put(task) {
    this.#view.set(task.id, task);
    if (!task.parent_id) return;
    const siblings = this.#children.get(task.parent_id);
    if (siblings) siblings.add(task.id);
    else this.#children.set(task.parent_id, new Set([task.id]));
  }

  /**
   * @param {Task} task
   * @returns {LocalTask}
   */
  #local(task) {
    return { ...task, key: this.#keys.get(task.id) ?? keyOf(task.id), pending: false };
  }

  /**
   * @param {number} id
   * @returns {LocalTask[]}
   */
  #childrenOf(id) {
    const children = [...(this.#children.get(id) ?? [])].map((child) => this.#view.get(child));
    return children.filter((child) => child !== undefined);
  }

  /** @param {number} id */
  #resolve(id) {
    return this.#stored.get(id) ?? id;
  }

  /** @param {number} id */
  #existing(id) {
    const task = this.get(id);
    if (!task) throw new RangeError("There is no such task.");
    return task;
  }

  /**
   * @param {LocalTask} task
   * @param {Place} place
   * @returns {string}
   */
  #positionAt(task, { before, after }) {
    const neighbour = before ?? after;
    if (!neighbour) return task.position;
    const next = this.#existing(neighbour);
    /** @type {LocalTask | undefined} */
    let other;
    for (const each of this.#view.values()) {
      if (each.id === task.id || each.id === next.id) continue;
      const isOnThisSide = before ? byPosition(each, next) < 0 : byPosition(each, next) > 0;
      if (!isOnThisSide) continue;
      if (!other || (before ? byPosition(other, each) < 0 : byPosition(each, other) < 0)) other = each;
    }
    if (!before) return positionBetween(next.position, other?.position ?? null);
    if (other) return positionBetween(other.position, next.position);
    const first = positionOfNewTask(this.#stamp());
    return first < next.position ? first : positionBetween("", next.position);
  }

  // The queue

  /**
   * @param {"update" | "complete" | "move"} kind
   * @param {number} id
   * @param {TaskChanges | Place} body
   * @param {Partial<Task>} shown
   * @param {string[]} [seen] the fields that nobody else may have changed; by default all
   * @returns {LocalTask}
   */
  #change(kind, id, body, shown, seen = Object.keys(shown)) {
    const task = this.#existing(id);
    const fields = /** @type {(keyof Task)[]} */ (seen.filter((name) => name !== "completed_at"));
    const updated_at = new Date().toISOString();
    this.#enqueue(kind, task.id, {
      body,
      shown: { ...shown, updated_at },
      seen: pick(task, fields),
      version: task.version,
    });
    return /** @type {LocalTask} */ (this.get(id));
  }

  /**
   * @param {QueuedWrite["kind"]} kind
   * @param {number} id
   * @param {Partial<QueuedWrite>} rest
   */
  #enqueue(kind, id, rest) {
    const common = { body: null, version: 0, seen: {}, shown: {}, family: [] };
    const write = { ...common, ...rest, order: this.#stamp(), key: newKey(), kind, id };
    const stored = withStoredIds(write, (each) => this.#resolve(each));
    this.#queue.push(stored);
    const before = new Set(this.#covered.keys());
    this.#show(stored);
    const others = [...this.#covered.keys()].filter((each) => !before.has(each));
    const children = this.#childrenOf(stored.id).map((child) => child.id);
    this.#notify([...new Set([stored.id, ...children, ...others])]);
    const patch = { put: [stored] };
    this.#uncommitted.add(stored);
    this.#commit(patch).then(() => {
      this.#uncommitted.delete(stored);
      this.#send({ patch, replaced: [] });
      this.#wake.dispatchEvent(new Event("queued"));
    });
  }

  /** @returns {number} a number that is larger than all before, in every tab */
  #stamp() {
    const now = Date.now() * 1000 + Math.floor(Math.random() * 1000);
    this.#last = Math.max(now, this.#last + 1);
    return this.#last;
  }

  /**
   * @param {number} id
   * @param {Task[]} family
   */
  #remember(id, family) {
    if (this.#removed.size >= REMEMBERED) this.#removed.delete([...this.#removed.keys()][0]);
    this.#removed.set(id, family);
  }

  // Sending, in the tab that leads

  async #run() {
    const { signal } = this.#closing;
    const retry = () => this.#wake.dispatchEvent(new Event("online"));
    globalThis.addEventListener?.("online", retry);
    this.#client.addEventListener("session", retry);
    this.#send({ ask: "state" });
    let hasWaited = false;
    const lead = async () => {
      if (hasWaited) {
        // The tab that has led may have stored what it could not tell any more.
        await this.#commits;
        await this.#load();
      }
      this.#leads = true;
      this.#isSyncing = true; // for whoever has asked the tab before
      await Promise.all([this.#follow(), this.#sendAll()]);
    };
    const leading = withLock(this.#name, lead, signal);
    setTimeout(() => (hasWaited = !this.#leads));
    await leading.catch((error) => {
      if (!signal.aborted) throw error;
    });
    globalThis.removeEventListener?.("online", retry);
    this.#client.removeEventListener("session", retry);
  }

  async #follow() {
    const { signal } = this.#closing;
    const wake = this.#wake;
    /** @param {boolean} online */
    const onState = (online) => this.#setReachable(online);
    for (let failures = 0; !signal.aborted; failures += 1) {
      const { since, lastEventId } = this.#progress;
      try {
        this.#requireUser();
        const options = { since, lastEventId, signal, wake, onState };
        for await (const changes of this.#client.tasks.changes(options)) {
          this.#requireUser();
          this.#absorb(changes);
          failures = 0;
        }
      } catch (error) {
        if (!isOfService(error)) throw error;
        this.#setReachable(false);
        await pause(delayAfter(failures, error), { signal, wake });
      }
    }
  }

  /** @param {Pick<Changes, "changes" | "next"> & Partial<Changes>} changes */
  #absorb({ changes, next, more, reset, reminders = [], lastEventId }) {
    const complete = (this.#progress.complete && !reset) || !more;
    const tasks = changes.map(/** @returns {[number, Task | null]} */ ({ id, task }) => [id, task ?? null]);
    const seen = lastEventId === undefined ? {} : { lastEventId };
    this.#patch({ reset, tasks, progress: { since: next, complete, ...seen } });
    for (const reminder of reminders) this.#tell("reminder", reminder);
  }

  async #sendAll() {
    const { signal } = this.#closing;
    const wake = this.#wake;
    for (let failures = 0; !signal.aborted; ) {
      try {
        this.#requireUser();
        if (this.#queue.length) await this.#sendFirst();
        else if (this.#isSyncing) await this.#readChanges();
        else await nextEvent(wake, ["queued", "online"], signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isOfService(error)) throw error;
        if (!(error instanceof TodoError) || error.status !== 429) this.#setReachable(false);
        this.#endSync();
        await pause(delayAfter(failures, error), { signal, wake });
        failures += 1;
      }
    }
  }

  async #readChanges() {
    const { signal } = this.#closing;
    const isLoading = () => this.#isReachable && !this.#progress.complete;
    while (isLoading() && !signal.aborted) await nextEvent(this, ["state"], signal);
    for (let more = this.#progress.complete; more && !signal.aborted; ) {
      const page = await this.#client.tasks.changesSince(this.#progress.since, { signal });
      this.#requireUser();
      this.#absorb(page);
      ({ more } = page);
    }
    if (!this.#queue.length) this.#endSync();
  }

  #syncSoon() {
    this.#isSyncing = true;
    this.#wake.dispatchEvent(new Event(this.#isReachable ? "queued" : "online"));
  }

  #endSync() {
    if (!this.#isSyncing) return;
    this.#isSyncing = false;
    this.#send({ synced: true });
    this.dispatchEvent(new Event("synced"));
  }

  #requireUser() {
    if (this.#client.user?.id !== this.#userId) throw notSignedIn();
  }

  async #sendFirst() {
    const write = this.#queue[0];
    try {
      this.#requireUser();
      const task = await this.#transmit(withStoredIds(write, (id) => this.#resolve(id)));
      this.#internalErrors = 0;
      this.#setReachable(true);
      this.#finish(write, task);
    } catch (error) {
      if (!(error instanceof TodoError) || error.status === 401) throw error;
      if (error.status === 500) this.#internalErrors += 1;
      const isHopeless = this.#internalErrors >= TRIES_OF_INTERNAL_ERRORS;
      if (isTemporary(error) && !isHopeless) throw error;
      this.#internalErrors = 0;
      this.#refuse(write, error);
    }
  }

  /**
   * @param {QueuedWrite} write
   * @returns {Promise<Task | null>} the task as it is stored now
   */
  async #transmit({ kind, id, body, version, key }) {
    const path = kind === "create" ? "" : `/${id}`;
    const common = { key, version, attempts: 2 };
    const { tasks } = this.#client;
    switch (kind) {
      case "create":
        return await tasks.write({ ...common, method: "POST", json: body });
      case "update":
        return await tasks.write({ ...common, method: "PATCH", path, json: body });
      case "delete":
        return await tasks.write({ ...common, method: "DELETE", path });
      case "restore":
        return await tasks.write({ ...common, method: "POST", path: `${path}/restore`, version: null });
      case "complete":
        return await tasks.write({ ...common, method: "PATCH", path: `${path}/complete`, json: body });
      case "move":
        return await tasks.write({ ...common, method: "POST", path: `${path}/move`, json: body });
    }
  }

  /**
   * Take an answered write out of the queue.
   *
   * @param {QueuedWrite} write
   * @param {Task | null} stored
   */
  #finish(write, stored) {
    const id = stored?.id ?? this.#resolve(write.id);
    /** @type {[number, number][]} */
    const replaced = write.kind === "create" ? [[write.id, id]] : [];
    for (const pair of replaced) this.#stored.set(...pair);
    const family = this.#removed.get(write.id);
    if (family && replaced.length) this.#remember(id, family.map((task) => ({ ...task, id })));
    const later = this.#queue.filter((each) => each.order !== write.order);
    const put = later.flatMap((each) => {
      const renamed = withStoredIds(each, (one) => this.#resolve(one));
      const isOfTask = stored && renamed.id === id;
      const changed = isOfTask ? carryOver(write, stored, renamed) : renamed;
      return JSON.stringify(changed) === JSON.stringify(each) ? [] : [changed];
    });
    const progress = replaced.length
      ? { replaced: [...this.#progress.replaced, ...replaced].slice(-REMEMBERED) }
      : undefined;
    const tasks = this.#resultOf(write, id, stored);
    this.#patch({ drop: [write.order], put, tasks, progress }, replaced);
  }

  /**
   * What is known of the tasks after a write, before its changes arrive.
   *
   * @param {QueuedWrite} write
   * @param {number} id
   * @param {Task | null} stored
   * @returns {[number, Task | null][]}
   */
  #resultOf(write, id, stored) {
    const children = [...(this.#children.get(id) ?? [])];
    if (!stored) return [...new Set([id, ...this.#coveredChildren(id), ...children])].map((each) => [each, null]);
    /** @type {[number, Task][]} */
    const others = write.family.filter((task) => task.id !== id).map((task) => [task.id, task]);
    if (write.shown.completed) {
      const { completed, status, completed_at } = stored;
      for (const child of children) {
        const task = this.#covered.has(child) ? this.#covered.get(child) : this.#view.get(child);
        if (task && child > 0) others.push([child, { ...task, completed, status, completed_at }]);
      }
    }
    return [[id, stored], ...others.map(/** @returns {[number, Task]} */ ([each, task]) => [each, plain(task)])];
  }

  /** @param {number} id */
  #coveredChildren(id) {
    return [...this.#covered].filter(([, task]) => task?.parent_id === id).map(([child]) => child);
  }

  /**
   * The service has refused a write: send it again over the current version if nobody has changed
   * the same fields, or take it out of the queue and say so.
   *
   * @param {QueuedWrite} write
   * @param {TodoError} error
   */
  #refuse(write, error) {
    const id = this.#resolve(write.id);
    if (error instanceof ConflictError) {
      const { current } = error;
      const tasks = /** @type {[number, Task | null][]} */ ([[id, current]]);
      if (!isInConflict(write, current)) {
        this.#patch({ tasks, put: [{ ...write, version: current.version }] });
        return;
      }
      this.#patch({ tasks, drop: [write.order] });
      this.#tell("conflict", { write, current: this.get(id) ?? null });
      return;
    }
    const isGone = error.status === 404 && write.kind !== "move" && write.kind !== "restore";
    if (isGone && write.kind !== "create") {
      const tasks = /** @type {[number, Task | null][]} */ ([[id, null]]);
      this.#patch({ tasks, drop: [write.order] });
      if (write.kind !== "delete") this.#tell("conflict", { write, current: null });
      return;
    }
    const dropped = [write];
    if (write.kind === "create") {
      for (const each of this.#queue) {
        const needs = dropped.some((one) => one.kind === "create" && dependsOn(each, one.id));
        if (needs && !dropped.includes(each)) dropped.push(each);
      }
    }
    this.#patch({ drop: dropped.map((each) => each.order) });
    this.#tell("refused", { write, error: { ...error } });
  }

  /**
   * Change the copy here, on disk and in the other tabs.
   *
   * @param {Patch} patch
   * @param {[number, number][]} [replaced]
   */
  #patch(patch, replaced = []) {
    this.#apply(patch, replaced);
    this.#commit(patch).then(() => this.#send({ patch, replaced }));
  }

  /**
   * @param {Patch} patch
   * @returns {Promise<void>}
   */
  #commit(patch) {
    const committed = this.#commits.then(async () => {
      // A browser without room still shows everything, until the page is closed.
      await this.#store?.commit(patch).catch(() => undefined);
    });
    this.#commits = committed;
    return committed;
  }

  // The other tabs

  /** @param {Message} message */
  #receive(message) {
    if (this.#heard) {
      this.#heard.push(message);
    } else if ("patch" in message) {
      this.#apply(message.patch, message.replaced);
      if (message.patch.put) this.#wake.dispatchEvent(new Event("queued"));
    } else if ("isReachable" in message) {
      this.#isReachable = message.isReachable;
      this.#notifyState();
    } else if ("event" in message) {
      this.#dispatch(message.event, message.detail);
    } else if ("synced" in message) {
      this.dispatchEvent(new Event("synced"));
    } else if (this.#leads) {
      if (message.ask === "sync") this.#syncSoon();
      else this.#send({ isReachable: this.#isReachable });
    }
  }

  /** @param {Message} message */
  #send(message) {
    if (!this.#closing.signal.aborted) this.#channel.postMessage(message);
  }

  // Events

  /**
   * @param {number[] | null} ids
   * @param {[number, number][]} [replaced]
   */
  #notify(ids, replaced = []) {
    const detail = { ids, replaced: new Map(replaced) };
    this.dispatchEvent(new CustomEvent("change", { detail }));
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
  }

  /**
   * Send an event in every tab.
   *
   * @param {string} event
   * @param {any} detail that can be copied
   */
  #tell(event, detail) {
    this.#send({ event, detail });
    this.#dispatch(event, detail);
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

  /** @param {QueuedWrite} write */
  #retry({ kind, id, body, shown, seen }) {
    if (!this.get(id)) this.restore(id);
    const task = this.get(id);
    const fields = /** @type {(keyof Task)[]} */ (Object.keys(seen));
    const now = task ? { seen: pick(task, fields), version: task.version } : {};
    this.#enqueue(kind, id, { body, shown, ...now });
  }
}

/** @param {string} userId */
function nameOf(userId) {
  return `todo-${userId}`;
}

/** @param {number} id */
function keyOf(id) {
  return `task${id}`;
}

/**
 * @param {Task} task
 * @param {readonly (keyof Task)[]} fields
 * @returns {Partial<Task>}
 */
function pick(task, fields) {
  return Object.fromEntries(fields.map((name) => [name, task[name]]));
}

/**
 * @param {Task} task
 * @returns {Task} without what only the copy has
 */
function plain(task) {
  const { key, pending, ...fields } = /** @type {LocalTask} */ (task);
  return fields;
}

/** @param {unknown} error */
function isOfService(error) {
  return error instanceof OfflineError || error instanceof TodoError;
}
