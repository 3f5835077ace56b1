/**
 * What the user does in the list. The list shows it at once, and the keyboard stays where it makes sense.
 */

import { announce } from "../ui/announce.js";
import { toast } from "../ui/toast.js";
import { addDays } from "./dates.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./store.js").TaskRow} TaskRow */
/** @typedef {import("./view.js").TaskView} TaskView */
/** @typedef {import("./quick-add.js").Fields & { title: string }} NewFields */

const LEAVING_MS = 700;

export class TaskCommands {
  #view;
  /** @type {Set<string>} */
  #lingering = new Set();

  /** @param {TaskView} view */
  constructor(view) {
    this.#view = view;
  }

  /** The keys of tasks that were completed just now, and stay for a moment. */
  get lingering() {
    return this.#lingering;
  }

  /** The tasks that a command is for: the selected ones, or the one with the keyboard. */
  get targets() {
    const rows = this.#view.list.tasks.filter((row) => this.#view.selection.has(row.key));
    const active = this.#view.list.active;
    return rows.length > 0 ? rows.map((row) => row.task) : active ? [active.task] : [];
  }

  /**
   * Add a task that matches the filter, as far as the user has not said otherwise.
   * @param {NewFields} fields
   */
  add(fields) {
    const { view, tags, priority } = this.#view.filter;
    const { router } = this.#view.parts;
    const [only] = priority;
    const due = view === "today" ? this.#view.store.today : view === "upcoming" ? addDays(this.#view.store.today, 1) : undefined;
    const task = this.#view.actions.create(
      /** @type {import("./actions.js").NewTask} */ ({
        ...(due ? { due_date: due } : {}),
        ...(priority.length === 1 ? { priority: only } : {}),
        ...fields,
        ...(tags.length > 0 ? { tags: [...tags, ...(fields.tags ?? [])] } : {}),
      }),
    );
    this.#view.store.invalidate();
    this.#view.show();
    if (!this.#view.list.row(task.key)) {
      const show = () => router.go(router.href({}, `task=${task.id}`));
      toast(`“${task.title}” added to All tasks.`, { action: { label: "Show", run: show } });
    }
  }

  /**
   * Move a task one step.
   * @param {TaskRow} row
   * @param {"up" | "down" | "in" | "out"} direction
   */
  async step(row, direction) {
    const { stepPlace } = await this.#view.panels;
    const place = stepPlace(this.#view.list.tasks, row.key, direction);
    if (place) {
      this.move(row.task, place);
    } else {
      announce("It cannot be moved there.");
    }
  }

  /**
   * Move a task to another place, and keep the keyboard on it.
   * @param {LocalTask} task
   * @param {import("./actions.js").Place} place
   */
  move(task, place) {
    const parent = place.parent_id ? this.#view.store.get(place.parent_id) : undefined;
    if (parent) {
      this.#view.collapsed.set(parent.key, false);
    }
    const text = parent ? `“${task.title}” is a subtask of “${parent.title}”.` : `“${task.title}” moved.`;
    this.#view.actions.move(task, place, text);
    this.#view.store.invalidate();
    this.#view.show();
    this.#view.list.activate(task.key);
  }

  /**
   * Move tasks to the trash.
   * @param {readonly LocalTask[]} tasks
   */
  remove(tasks) {
    this.#view.actions.remove(tasks);
    this.#view.store.invalidate();
    this.#view.show();
  }

  /**
   * Add a subtask.
   * @param {LocalTask} parent
   * @param {NewFields} fields
   */
  addSubtask(parent, fields) {
    const last = this.#view.store.children(parent.id).at(-1);
    const task = this.#view.actions.create(/** @type {import("./actions.js").NewTask} */ ({ ...fields, parent_id: parent.id }));
    if (last) {
      // A new task comes first, but what is typed below others belongs there.
      this.#view.parts.offline.move(task.id, { after: last.id });
    }
    this.#view.store.invalidate();
    this.#view.refresh();
  }

  /**
   * Edit a field of the task with the keyboard or, if the field can be, of the selected tasks.
   * @param {string} part
   */
  edit(part) {
    const row = this.#view.list.active;
    if (this.#view.selection.keys.size > 0 && part !== "title") {
      this.#view.openBulk(part);
    } else if (row) {
      void this.#view.opened.open(row.task, part);
    }
  }

  /**
   * Ask, and delete tasks in the trash permanently.
   * @param {readonly LocalTask[]} tasks
   */
  async erase(tasks) {
    const { eraseTasks } = await this.#view.panels;
    await eraseTasks(this.#view, tasks);
  }

  /**
   * Complete or reopen tasks. They stay in the list for a moment.
   * @param {readonly LocalTask[]} tasks
   * @param {boolean} completed
   */
  complete(tasks, completed) {
    const keys = tasks.map((task) => task.key);
    keys.forEach((key) => this.#lingering.add(key));
    this.#view.actions.complete(tasks, completed);
    this.#view.store.invalidate();
    this.#view.refresh();
    setTimeout(() => {
      keys.forEach((key) => this.#lingering.delete(key));
      this.#view.refresh();
    }, LEAVING_MS);
  }
}
