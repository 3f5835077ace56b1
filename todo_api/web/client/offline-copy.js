/** What an offline copy shows: the tasks of the service, with the queued writes applied. */

/** @import { LocalTask, QueuedWrite } from "./offline-rules.js" */
/** @import { Patch, Progress } from "./offline-store.js" */
/** @import { Place, Task } from "./tasks.js" */

import { isSame, show, withStoredIds } from "./offline-rules.js";
import { NO_PROGRESS } from "./offline-store.js";
import { byPosition, positionBetween, positionOfNewTask } from "./positions.js";

/**
 * The tasks and the queue in memory.
 *
 * Each task is kept once. Of those that a queued write concerns, `#covered` has what is below it.
 */
export class OfflineCopy {
  /** @type {Map<number, LocalTask>} */
  tasks = new Map();
  /** @type {QueuedWrite[]} In the order in which they are sent. */
  queue = [];
  /** @type {Progress} */
  progress = NO_PROGRESS;
  /** @type {Map<number, Set<number>>} The subtasks of each task that has some. */
  #children = new Map();
  /** @type {Map<number, LocalTask | undefined>} */
  #covered = new Map();
  /** @type {Map<number, number>} Stored ids by the temporary ids that they have replaced. */
  #stored = new Map();
  /** @type {Map<number, string>} The keys of tasks that had a temporary id. */
  #keys = new Map();
  #last = 0;

  /**
   * Begin with what is on disk.
   *
   * @param {{ tasks: Task[], queue: QueuedWrite[], progress: Progress }} loaded
   * @param {Iterable<QueuedWrite>} uncommitted writes that may not be on disk yet
   */
  load({ tasks, queue, progress }, uncommitted) {
    this.progress = progress;
    for (const pair of progress.replaced) this.#stored.set(...pair);
    this.tasks.clear();
    this.#children.clear();
    this.#covered.clear();
    for (const task of tasks) this.#add(Object.assign(task, this.#localFields(task.id)));
    const orders = new Set(queue.map((write) => write.order));
    this.queue = [...queue, ...[...uncommitted].filter((write) => !orders.has(write.order))];
    this.#last = Math.max(this.#last, this.queue.at(-1)?.order ?? 0);
    for (const write of this.queue) this.#show(write);
  }

  /**
   * Change the tasks and the queue, below the writes that stay in it.
   *
   * @param {Patch} patch
   * @param {[number, number][]} replaced temporary ids and those that replace them
   * @returns {number[] | null} the tasks that may have changed; null: all
   */
  apply({ reset, tasks = [], put = [], drop = [], progress }, replaced) {
    const ids = new Set(this.#covered.keys());
    for (const [id, task] of this.#covered) this.#set(id, task);
    this.#covered.clear();
    if (reset) {
      this.tasks.clear();
      this.#children.clear();
    }
    for (const pair of replaced) this.replace(...pair);
    for (const [, id] of replaced) {
      const known = this.tasks.get(id);
      if (known) this.#set(id, this.#local(known));
    }
    for (const [id, task] of tasks) {
      const known = this.tasks.get(id);
      if (task && known && (task.version < known.version || isSame(task, plain(known)))) continue;
      this.#set(id, task ? this.#local(task) : undefined);
      ids.add(id);
    }
    this.progress = { ...this.progress, ...progress };
    const gone = new Set([...drop, ...put.map((write) => write.order)]);
    this.queue = [...this.queue.filter((write) => !gone.has(write.order)), ...put];
    this.queue.sort((one, other) => one.order - other.order);
    for (const write of this.queue) this.#show(write);
    for (const id of this.#covered.keys()) ids.add(id);
    return reset ? null : [...ids];
  }

  /**
   * Queue a write, and show it.
   *
   * @param {QueuedWrite} write
   * @returns {number[]} the tasks that may have changed
   */
  push(write) {
    const ids = new Set([write.id, ...this.childrenOf(write.id).map((child) => child.id)]);
    this.queue.push(write);
    this.#show(write);
    for (const task of write.family) ids.add(task.id);
    return [...ids];
  }

  /** @param {number} id also a temporary one that was replaced */
  get(id) {
    return this.tasks.get(this.resolve(id));
  }

  /**
   * @param {number} id
   * @returns {LocalTask}
   */
  existing(id) {
    const task = this.get(id);
    if (!task) throw new RangeError("There is no such task.");
    return task;
  }

  /**
   * @param {number} id
   * @returns {number} the id by which the service knows the task, if it does
   */
  resolve(id) {
    return this.#stored.get(id) ?? id;
  }

  /**
   * @param {number} temporary
   * @param {number} id
   */
  replace(temporary, id) {
    this.#stored.set(temporary, id);
    this.#keys.set(id, keyOf(temporary));
  }

  /**
   * @param {number} id
   * @returns {LocalTask[]}
   */
  childrenOf(id) {
    const children = [...(this.#children.get(id) ?? [])].map((child) => this.tasks.get(child));
    return children.filter((child) => child !== undefined);
  }

  /**
   * @param {number} id
   * @returns {Task[]} its stored subtasks, without what the queue does to them
   */
  storedChildrenOf(id) {
    const below = [...this.#covered.values()].filter((task) => task?.parent_id === id);
    const others = this.childrenOf(id).filter((child) => !this.#covered.has(child.id));
    return [...below, ...others].flatMap((task) => (task && task.id > 0 ? [plain(task)] : []));
  }

  /**
   * @param {LocalTask} task
   * @param {Place} place
   * @returns {string} a position there, until the service answers with its own
   */
  positionAt(task, { before, after }) {
    const neighbour = before ?? after;
    if (!neighbour) return task.position;
    const next = this.existing(neighbour);
    const side = before ? -1 : 1;
    /** @type {LocalTask | undefined} The nearest one on the other side of the place. */
    let other;
    for (const each of this.tasks.values()) {
      if (each.id === task.id || byPosition(each, next) * side <= 0) continue;
      if (!other || byPosition(each, other) * side < 0) other = each;
    }
    if (!before) return positionBetween(next.position, other?.position ?? null);
    if (other) return positionBetween(other.position, next.position);
    const first = positionOfNewTask(this.stamp());
    return first < next.position ? first : positionBetween("", next.position);
  }

  /** @returns {number} microseconds since 1970, more than at any time before, in every tab */
  stamp() {
    const now = Date.now() * 1000 + Math.floor(Math.random() * 1000);
    this.#last = Math.max(now, this.#last + 1, (this.queue.at(-1)?.order ?? 0) + 1);
    return this.#last;
  }

  /** @param {QueuedWrite} write */
  #show(write) {
    /** @param {number} id */
    const cover = (id) => {
      if (!this.#covered.has(id)) this.#covered.set(id, this.tasks.get(id));
    };
    const resolved = withStoredIds(write, (id) => this.resolve(id));
    show(resolved, {
      get: (id) => this.tasks.get(id),
      children: (id) => this.childrenOf(id),
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
    const parent = this.tasks.get(id)?.parent_id;
    if (parent) this.#children.get(parent)?.delete(id);
    if (task) this.#add(task);
    else this.tasks.delete(id);
  }

  /** @param {LocalTask} task */
  #add(task) {
    this.tasks.set(task.id, task);
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
    return { ...task, ...this.#localFields(task.id) };
  }

  /** @param {number} id */
  #localFields(id) {
    return { key: this.#keys.get(id) ?? keyOf(id), pending: false };
  }
}

/**
 * @param {Task} task
 * @returns {Task} without what only the copy has
 */
export function plain(task) {
  const { key, pending, ...fields } = /** @type {LocalTask} */ (task);
  return fields;
}

/** @param {number} id */
function keyOf(id) {
  return `task${id}`;
}
