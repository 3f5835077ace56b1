/**
 * The tasks in the trash. They are not in the local copy, so the service is asked for them.
 */

import { announce } from "../ui/announce.js";
import { openDialog } from "../ui/dialog.js";
import { toast } from "../ui/toast.js";
import { nameTasks } from "./actions.js";
import { matcher, sortTasks } from "./filters.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./store.js").TaskRow} TaskRow */

const AT_ONCE = 4;

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

  get size() {
    return this.#tasks.length;
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
        this.error = describe(error);
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

  /**
   * Ask, and delete tasks permanently.
   * @param {readonly LocalTask[]} tasks
   */
  async erase(tasks) {
    const isAll = tasks.length > 1 && tasks.length === this.size;
    const answer = await openDialog({
      title: isAll ? "Empty the trash?" : `Delete ${nameTasks(tasks)} permanently?`,
      body: `${tasks.length === 1 ? "The task cannot" : `${tasks.length} tasks cannot`} be restored after that.`,
      actions: [
        { label: "Cancel", value: "cancel" },
        { label: "Delete permanently", value: "delete", kind: "danger" },
      ],
    });
    if (answer !== "delete") {
      return;
    }
    try {
      // Subtasks go with their parents, so those that are gone already are no error.
      const waiting = [...tasks];
      const work = async () => {
        for (let task = waiting.pop(); task; task = waiting.pop()) {
          await this.#erase(task.id);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      announce(`${nameTasks(tasks)} deleted permanently.`);
    } catch (error) {
      const { title, text } = describe(error);
      toast(`${title}. ${text}`);
    }
    await this.load();
  }

  /** Ask, and delete everything in the trash permanently. */
  async empty() {
    await this.erase(this.#tasks);
  }

  /** @param {number} id */
  async #erase(id) {
    try {
      await this.#client.tasks.delete(id, { permanent: true });
    } catch (error) {
      if (!(error instanceof Error && "status" in error && error.status === 404)) {
        throw error;
      }
    }
  }
}

/**
 * @param {unknown} error
 */
function describe(error) {
  if (error instanceof Error && error.name === "OfflineError") {
    return { title: "The trash is not available offline", text: "It is shown when the service can be reached." };
  }
  const text = error instanceof Error && "detail" in error ? String(error.detail) : "Try again later.";
  return { title: "The trash cannot be shown", text };
}
