/**
 * The rows of a list, from the local copy of the tasks: filtered, sorted, grouped and nested.
 */

import { addDays, dueDay, headDay, startOfDay, today } from "./dates.js";
import { dueOf, matcher, searchableText, sortTasks, writeSort } from "./filters.js";
import { fold, foldTag } from "./text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("../../client/todo.js").OfflineTasks} OfflineTasks */
/** @typedef {import("./filters.js").Filter} Filter */

/**
 * @typedef {object} TaskRow
 * @property {"task"} kind
 * @property {string} key
 * @property {LocalTask} task
 * @property {1 | 2} level
 * @property {boolean | null} isExpanded null if there is nothing below it
 * @property {{ done: number, total: number } | null} progress of its subtasks
 * @property {string | null} parent the title of its parent, if that is not above it
 * @property {string | null} day the day of its group, which its due date need not repeat
 */
/** @typedef {{ kind: "heading", key: string, text: string, count: number, tone: "danger" | "" }} HeadingRow */
/** @typedef {TaskRow | HeadingRow} Row */
/** @typedef {{ name: string, count: number }} TagCount */

const IDLE_BATCH = 500;
const MINUTE_MS = 60_000;
const POSITION = { field: "position", descending: false };

export class TaskStore {
  #offline;
  #zone;
  #revision = 0;
  /** @type {{ key: string, revision: number, tasks: LocalTask[] }} */
  #sorted = { key: "", revision: -1, tasks: [] };
  /** What was found last. @type {{ key: string, search: string, tasks: LocalTask[] }} */
  #found = { key: "", search: "", tasks: [] };
  #counts = { key: "", counts: { all: 0, today: 0, upcoming: 0, overdue: 0 } };
  /** @type {{ revision: number, list: TagCount[] }} */
  #tags = { revision: -1, list: [] };
  /** @type {{ revision: number, byParent: Map<number, LocalTask[]> }} */
  #families = { revision: -1, byParent: new Map() };

  /**
   * @param {OfflineTasks} offline
   * @param {() => string} zone of the user
   */
  constructor(offline, zone) {
    this.#offline = offline;
    this.#zone = zone;
  }

  /** The time zone of the user. */
  get zone() {
    return this.#zone();
  }

  /** The day of today in the time zone of the user. */
  get today() {
    return today(this.zone, Date.now());
  }

  /** Forget what was derived from the tasks, since some of them have changed. */
  invalidate() {
    this.#revision += 1;
  }

  /**
   * Return a task by its id, also by one that was replaced.
   * @param {number} id
   */
  get(id) {
    return this.#offline.get(id);
  }

  /**
   * Return the task of a row.
   * @param {string} key
   */
  find(key) {
    return this.sorted(POSITION).find((task) => task.key === key);
  }

  /**
   * Return all tasks in this order.
   * @param {import("./filters.js").Sort} sort
   */
  sorted(sort) {
    const key = `${writeSort(sort)} ${this.zone}`;
    if (this.#sorted.key === key && this.#sorted.revision === this.#revision) {
      return this.#sorted.tasks;
    }
    // An order that has changed little is sorted in linear time.
    const known = this.#sorted.key === key ? this.#refreshed(this.#sorted.tasks) : [...this.#offline.tasks.values()];
    this.#sorted = { key, revision: this.#revision, tasks: sortTasks(known, sort, this.zone) };
    return this.#sorted.tasks;
  }

  /**
   * Return the subtasks of a task in their order.
   * @param {number} id
   * @returns {readonly LocalTask[]}
   */
  children(id) {
    if (this.#families.revision !== this.#revision) {
      /** @type {Map<number, LocalTask[]>} */
      const byParent = new Map();
      for (const task of this.#offline.tasks.values()) {
        if (task.parent_id !== null) {
          const family = byParent.get(task.parent_id);
          if (family) {
            family.push(task);
          } else {
            byParent.set(task.parent_id, [task]);
          }
        }
      }
      for (const [parent, family] of byParent) {
        byParent.set(parent, sortTasks(family, POSITION, this.zone));
      }
      this.#families = { revision: this.#revision, byParent };
    }
    return this.#families.byParent.get(id) ?? [];
  }

  /**
   * Return the rows of the list.
   * @param {Filter} filter
   * @param {{ collapsed: ReadonlySet<string>, lingering: ReadonlySet<string> }} shown `lingering` tasks
   *   have just been completed, and stay for a moment
   * @returns {{ rows: Row[], count: number }} `count`: the number of tasks, hidden ones included
   */
  rows(filter, { collapsed, lingering }) {
    const tasks = this.#matching(filter, lingering);
    if (filter.sort.field === "due_date" && (filter.view === "today" || filter.view === "upcoming")) {
      return { count: tasks.length, rows: filter.view === "today" ? this.#todayRows(tasks) : this.#upcomingRows(tasks) };
    }
    return { count: tasks.length, rows: this.#nestedRows(tasks, filter.search ? new Set() : collapsed) };
  }

  /**
   * @param {Filter} filter
   * @param {ReadonlySet<string>} lingering
   */
  #matching(filter, lingering) {
    const matches = matcher(filter, { zone: this.zone, now: Date.now() });
    if (lingering.size > 0) {
      return this.sorted(filter.sort).filter((task) => lingering.has(task.key) || matches(task));
    }
    const key = `${this.#moment} ${JSON.stringify({ ...filter, search: "" })}`;
    const search = fold(filter.search);
    // With another letter, only what was found before can be found.
    const isNarrower = this.#found.key === key && search.includes(this.#found.search);
    const tasks = (isNarrower ? this.#found.tasks : this.sorted(filter.sort)).filter(matches);
    this.#found = { key, search, tasks };
    return tasks;
  }

  /** Changes with the tasks, and with every minute, since that changes what is overdue. */
  get #moment() {
    return `${this.#revision} ${Math.floor(Date.now() / MINUTE_MS)} ${this.zone}`;
  }

  /** Return how many open tasks the views of the navigation have. */
  counts() {
    if (this.#counts.key !== this.#moment) {
      this.#counts = { key: this.#moment, counts: this.#countViews() };
    }
    return this.#counts.counts;
  }

  #countViews() {
    const tonight = startOfDay(addDays(this.today, 1), this.zone);
    const counts = { all: 0, today: 0, upcoming: 0, overdue: 0 };
    const now = Date.now();
    for (const task of this.#offline.tasks.values()) {
      if (!task.completed) {
        const due = dueOf(task, this.zone);
        counts.all += 1;
        counts.today += Number(due !== null && due < tonight);
        counts.upcoming += Number(due !== null && due >= tonight);
        counts.overdue += Number(due !== null && due < now);
      }
    }
    return counts;
  }

  /**
   * Return all tags, those of most tasks first, each with the number of its open tasks.
   * @returns {TagCount[]}
   */
  tags() {
    if (this.#tags.revision !== this.#revision) {
      this.#tags = { revision: this.#revision, list: this.#countTags() };
    }
    return this.#tags.list;
  }

  #countTags() {
    /** @type {Map<string, { name: string, count: number, uses: number }>} */
    const tags = new Map();
    for (const task of this.#offline.tasks.values()) {
      for (const name of task.tags) {
        const known = tags.get(foldTag(name)) ?? { name, count: 0, uses: 0 };
        const first = known.name < name ? known.name : name;
        tags.set(foldTag(name), { name: first, count: known.count + Number(!task.completed), uses: known.uses + 1 });
      }
    }
    return [...tags.values()].sort((a, b) => b.uses - a.uses || (a.name < b.name ? -1 : 1));
  }

  /** Prepare the search while the browser is idle, so that the first letter is answered at once. */
  prepareSearch() {
    const tasks = [...this.#offline.tasks.values()];
    const step = (/** @type {number} */ from) => {
      for (const task of tasks.slice(from, from + IDLE_BATCH)) {
        searchableText(task);
      }
      if (from + IDLE_BATCH < tasks.length) {
        setTimeout(step, 0, from + IDLE_BATCH);
      }
    };
    setTimeout(step, 0, 0);
  }

  /** @param {LocalTask[]} tasks */
  #refreshed(tasks) {
    const current = tasks.flatMap((task) => this.#offline.tasks.get(task.id) ?? []);
    const known = new Set(current);
    for (const task of this.#offline.tasks.values()) {
      if (!known.has(task)) {
        current.push(task);
      }
    }
    return current;
  }

  /**
   * @param {LocalTask[]} tasks
   * @returns {Row[]}
   */
  #todayRows(tasks) {
    const start = startOfDay(this.today, this.zone);
    const isLate = (/** @type {LocalTask} */ task) => (dueOf(task, this.zone) ?? start) < start;
    const [late, due] = [tasks.filter(isLate), tasks.filter((task) => !isLate(task))];
    return [
      ...group("overdue", "Overdue", late.map((task) => this.#row(task, {})), "danger"),
      ...group("today", "Today", due.map((task) => this.#row(task, { day: this.today })), ""),
    ];
  }

  /**
   * @param {LocalTask[]} tasks
   * @returns {Row[]}
   */
  #upcomingRows(tasks) {
    /** @type {Map<string, Row[]>} */
    const days = new Map();
    for (const task of tasks) {
      const day = dueDay(task.due_date ?? this.today, this.zone);
      const rows = days.get(day) ?? [];
      rows.push(this.#row(task, { day }));
      days.set(day, rows);
    }
    return [...days].flatMap(([day, rows]) => group(day, headDay(day, this.today), rows, ""));
  }

  /**
   * @param {LocalTask[]} tasks
   * @param {ReadonlySet<string>} collapsed
   * @returns {Row[]}
   */
  #nestedRows(tasks, collapsed) {
    const shown = new Set(tasks.map((task) => task.id));
    /** @type {Map<number, LocalTask[]>} */
    const below = new Map();
    const top = tasks.filter((task) => {
      if (task.parent_id === null || !shown.has(task.parent_id)) {
        return true;
      }
      const family = below.get(task.parent_id);
      if (family) {
        family.push(task);
      } else {
        below.set(task.parent_id, [task]);
      }
      return false;
    });
    return top.flatMap((task) => {
      const family = below.get(task.id) ?? [];
      const isExpanded = family.length > 0 ? !collapsed.has(task.key) : null;
      const subtasks = isExpanded ? family.map((subtask) => this.#row(subtask, { level: 2 })) : [];
      return [this.#row(task, { isExpanded }), ...subtasks];
    });
  }

  /**
   * @param {LocalTask} task
   * @param {{ level?: 1 | 2, isExpanded?: boolean | null, day?: string | null }} place
   * @returns {TaskRow}
   */
  #row(task, { level = 1, isExpanded = null, day = null }) {
    const family = this.children(task.id);
    const parent = task.parent_id === null || level === 2 ? null : (this.get(task.parent_id)?.title ?? null);
    const progress = family.length > 0 ? progressOf(family) : null;
    return { kind: "task", key: task.key, task, level, isExpanded, progress, parent, day };
  }
}

/** @param {readonly LocalTask[]} family */
function progressOf(family) {
  return { done: family.filter((each) => each.completed).length, total: family.length };
}

/**
 * @param {string} key
 * @param {string} text
 * @param {Row[]} rows
 * @param {HeadingRow["tone"]} tone
 * @returns {Row[]}
 */
function group(key, text, rows, tone) {
  return rows.length === 0 ? [] : [{ kind: "heading", key: `heading-${key}`, text, count: rows.length, tone }, ...rows];
}
