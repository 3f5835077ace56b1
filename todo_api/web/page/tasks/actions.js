/**
 * What the user does to tasks. Every action takes effect at once, and can be undone.
 */

import { announce } from "../ui/announce.js";
import { foldTag } from "./text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("../../client/todo.js").OfflineTasks} OfflineTasks */
/** @typedef {import("../../client/tasks.js").TaskChanges} TaskChanges */
/** @typedef {import("../../client/tasks.js").NewTask} NewTask */
/** @typedef {{ before?: number, after?: number, parent_id?: number | null }} Place */

const MOST_TAGS = 20;

export class TaskActions {
  #offline;
  #store;
  #history;

  /**
   * @param {OfflineTasks} offline
   * @param {import("./store.js").TaskStore} store
   * @param {import("./history.js").History} history
   */
  constructor(offline, store, history) {
    this.#offline = offline;
    this.#store = store;
    this.#history = history;
  }

  /**
   * Create a task.
   * @param {NewTask} fields
   */
  create(fields) {
    const task = this.#offline.create(fields);
    this.#history.add(`“${task.title}” added.`, () => this.#delete(task.id), { isShown: false });
    announce(`“${task.title}” added.`);
    return task;
  }

  /**
   * Complete or reopen tasks.
   * @param {readonly LocalTask[]} tasks
   * @param {boolean} completed
   */
  complete(tasks, completed) {
    const changed = tasks.filter((task) => task.completed !== completed);
    if (changed.length === 0) {
      return;
    }
    const below = changed.flatMap((task) => this.#store.children(task.id)).filter((task) => !task.completed);
    const ids = unique([...changed, ...(completed ? below : [])].map((task) => task.id));
    for (const task of changed) {
      if (this.#offline.get(task.id)?.completed !== completed) {
        this.#complete(task.id, completed);
      }
    }
    const text = `${nameTasks(changed)} ${completed ? "completed" : "reopened"}.`;
    this.#history.add(text, () => ids.forEach((id) => this.#complete(id, !completed)));
  }

  /**
   * Change fields of tasks.
   * @param {readonly LocalTask[]} tasks
   * @param {(task: LocalTask) => TaskChanges} changesOf
   * @param {{ text?: string, isShown?: boolean }} [options]
   */
  update(tasks, changesOf, { text = `${nameTasks(tasks)} changed.`, isShown = true } = {}) {
    /** @type {{ id: number, before: TaskChanges }[]} */
    const changed = [];
    for (const task of tasks) {
      const changes = changesOf(task);
      const before = valuesOf(task, changes);
      if (JSON.stringify(before) !== JSON.stringify(changes)) {
        changed.push({ id: task.id, before });
        this.#update(task.id, changes);
      }
    }
    if (changed.length > 0) {
      const undo = () => changed.forEach(({ id, before }) => this.#update(id, before));
      this.#history.add(text, undo, { isShown });
    }
  }

  /**
   * Save what is being typed. The step to undo is kept with `keep` when the field is left.
   * @param {LocalTask} task
   * @param {TaskChanges} changes
   */
  save(task, changes) {
    this.#update(task.id, changes);
  }

  /**
   * Keep what a field had before it was edited, to undo it.
   * @param {LocalTask} task
   * @param {TaskChanges} before
   */
  keep(task, before) {
    const undo = () => this.#update(task.id, before);
    this.#history.add(`“${task.title}” changed.`, undo, { isShown: false });
  }

  /**
   * Add a tag to tasks, or remove it from them.
   * @param {readonly LocalTask[]} tasks
   * @param {string} tag
   * @param {boolean} has
   * @param {{ isShown?: boolean }} [options]
   */
  tag(tasks, tag, has, { isShown = true } = {}) {
    const others = (/** @type {LocalTask} */ task) => task.tags.filter((each) => foldTag(each) !== foldTag(tag));
    const room = tasks.filter((task) => !has || others(task).length < MOST_TAGS);
    const changesOf = (/** @type {LocalTask} */ task) => {
      const isThere = task.tags.length > others(task).length;
      return { tags: has ? (isThere ? task.tags : [...task.tags, tag]) : others(task) };
    };
    const text = `“${tag}” ${has ? "added to" : "removed from"} ${nameTasks(tasks)}.`;
    this.update(room, changesOf, { text, isShown });
  }

  /**
   * Move tasks to the trash, with their subtasks.
   * @param {readonly LocalTask[]} tasks
   */
  remove(tasks) {
    const ids = new Set(tasks.map((task) => task.id));
    const roots = tasks.filter((task) => task.parent_id === null || !ids.has(task.parent_id));
    for (const task of roots) {
      this.#delete(task.id);
    }
    this.#history.add(`${nameTasks(tasks)} deleted.`, () => roots.forEach((task) => this.#offline.restore(task.id)));
  }

  /**
   * Take tasks out of the trash.
   * @param {readonly { id: number, title: string }[]} tasks
   */
  restore(tasks) {
    for (const task of tasks) {
      this.#offline.restore(task.id);
    }
    this.#history.add(`${nameTasks(tasks)} restored.`, () => tasks.forEach((task) => this.#delete(task.id)));
  }

  /**
   * Move a task to another place of the order, or under another parent.
   * @param {LocalTask} task
   * @param {Place} place
   * @param {string} text
   */
  move(task, place, text) {
    const order = this.#store.sorted({ field: "position", descending: false });
    const following = order[order.findIndex((each) => each.id === task.id) + 1];
    const before = { ...(following ? { before: following.id } : {}), parent_id: task.parent_id };
    this.#offline.move(task.id, place);
    this.#history.add(text, () => this.#moveBack(task.id, before), { isShown: false });
    announce(text);
  }

  /**
   * @param {number} id
   * @param {Place} place
   */
  #moveBack(id, place) {
    const neighbour = place.before === undefined ? undefined : this.#offline.get(place.before);
    const parent = place.parent_id ? this.#offline.get(place.parent_id) : undefined;
    if (this.#offline.get(id)) {
      this.#offline.move(id, { ...(neighbour ? { before: neighbour.id } : {}), parent_id: parent?.id ?? null });
    }
  }

  // A task may have been deleted elsewhere since it was shown, or since the step to undo.

  /**
   * @param {number} id
   * @param {TaskChanges} changes
   */
  #update(id, changes) {
    if (this.#offline.get(id)) {
      this.#offline.update(id, changes);
    }
  }

  /**
   * @param {number} id
   * @param {boolean} completed
   */
  #complete(id, completed) {
    if (this.#offline.get(id)) {
      this.#offline.complete(id, completed);
    }
  }

  /** @param {number} id */
  #delete(id) {
    if (this.#offline.get(id)) {
      this.#offline.delete(id);
    }
  }
}

/**
 * Return the title in quotation marks, or the number of tasks.
 * @param {readonly { title: string }[]} tasks
 */
export function nameTasks(tasks) {
  const [first] = tasks;
  return tasks.length === 1 && first ? `“${first.title}”` : `${tasks.length} tasks`;
}

/**
 * @param {LocalTask} task
 * @param {TaskChanges} changes
 * @returns {TaskChanges}
 */
function valuesOf(task, changes) {
  const names = /** @type {(keyof TaskChanges & keyof LocalTask)[]} */ (Object.keys(changes));
  return Object.fromEntries(names.map((name) => [name, task[name]]));
}

/** @param {number[]} ids */
function unique(ids) {
  return [...new Set(ids)];
}
