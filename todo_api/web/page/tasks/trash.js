/**
 * The tasks in the trash. They are not in the local copy, so the service is asked for them.
 */

import { matcher, sortTasks } from "./filters.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./store.js").TaskRow} TaskRow */

export class Trash {
  #client;
  #onChange;
  /** @type {LocalTask[]} */
  #tasks = [];
  #turn = 0;
  isLoading = true;
  /** @type {{ title: string, text: string } | null} */
  error = null;

  /**
   * @param {{ client: import("../../client/todo.js").TodoClient, onChange: () => void }} parts
   */
  constructor({ client, onChange }) {
    this.#client = client;
    this.#onChange = onChange;
  }

  /** All tasks in the trash, as it was read last. */
  get tasks() {
    return this.#tasks;
  }

  /** Read the trash from the service. */
  async load() {
    this.#turn += 1;
    const turn = this.#turn;
    try {
      /** @type {LocalTask[]} */
      const tasks = [];
      for await (const task of this.#client.tasks.list({ deleted: true, sort: "-updated_at" })) {
        tasks.push({ ...task, key: `trash-${task.id}`, pending: false });
      }
      if (turn === this.#turn) {
        this.#tasks = tasks;
        this.error = null;
      }
    } catch (error) {
      if (turn === this.#turn) {
        this.#tasks = [];
        this.error = describeFailure(error);
      }
    }
    if (turn === this.#turn) {
      this.isLoading = false;
      this.#onChange();
    }
  }

  /**
   * @param {import("./filters.js").Filter} filter
   * @param {string} zone
   * @returns {{ rows: TaskRow[], count: number }}
   */
  rows(filter, zone) {
    const matches = matcher(filter, { zone, now: Date.now() });
    const tasks = sortTasks(this.#tasks.filter(matches), filter.sort, zone);
    const nothing = { level: /** @type {const} */ (1), isExpanded: null, progress: null, parent: null, day: null };
    return { count: tasks.length, rows: tasks.map((task) => ({ kind: "task", key: task.key, task, ...nothing })) };
  }

  /**
   * Take tasks out of the trash.
   * @param {readonly LocalTask[]} tasks
   * @param {import("./actions.js").TaskActions} actions
   */
  restore(tasks, actions) {
    this.#tasks = this.#tasks.filter((task) => !tasks.includes(task));
    actions.restore(tasks);
    this.#onChange();
  }
}

/**
 * Return why the service did not do what it was asked for, and what to do.
 * @param {unknown} error
 */
export function describeFailure(error) {
  if (error instanceof Error && error.name === "OfflineError") {
    return { title: "The trash is not available offline", text: "It is shown when the service can be reached." };
  }
  const text = error instanceof Error && "detail" in error ? String(error.detail) : "Try again later.";
  return { title: "The trash is not available", text };
}
