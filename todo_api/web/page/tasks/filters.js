/**
 * Filters of the list: addresses with the names of the API, and the same rules over the local copy.
 */

import { addDays, dueMoment, isDay, momentOf, startOfDay, today } from "./dates.js";
import { compareText, fold, foldTag } from "./text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {"all" | "today" | "upcoming" | "trash"} View */
/** @typedef {{ field: string, descending: boolean }} Sort */

/**
 * @typedef {object} Filter
 * @property {View} view
 * @property {"pending" | "completed" | "all"} status
 * @property {string[]} priority
 * @property {string[]} tags all of them
 * @property {string[]} tagsAny at least one of them
 * @property {number | "none" | null} parentId
 * @property {string} dueAfter
 * @property {string} dueBefore
 * @property {boolean | null} hasDue
 * @property {boolean | null} overdue
 * @property {string} createdAfter
 * @property {string} createdBefore
 * @property {string} updatedAfter
 * @property {string} search
 * @property {Sort} sort
 */

export const PRIORITIES = /** @type {const} */ (["none", "low", "medium", "high", "urgent"]);

/** @type {Map<string, Sort>} */
const SORTS = new Map([
  ["created", { field: "created_at", descending: true }],
  ["newest", { field: "created_at", descending: true }],
  ["oldest", { field: "created_at", descending: false }],
  ["updated", { field: "updated_at", descending: true }],
]);
const SORT_FIELDS = ["created_at", "updated_at", "completed_at", "due_date", "priority", "title", "position"];

/**
 * Return the filter of an address.
 * @param {URLSearchParams} query
 * @returns {Filter}
 */
export function parseFilter(query) {
  const text = (/** @type {string[]} */ ...names) =>
    names.map((name) => (query.get(name) ?? "").trim()).find((value) => value !== "") ?? "";
  const view = /** @type {View} */ (["today", "upcoming", "trash"].find((name) => name === text("view")) ?? "all");
  const status = parseStatus(text("status"), text("completed"), view);
  return {
    view,
    status,
    priority: splitList(query.getAll("priority")).filter((name) => PRIORITIES.some((each) => each === name)),
    tags: splitList(query.getAll("tags")),
    tagsAny: splitList(query.getAll("tags_any")),
    parentId: parseParent(text("parent_id")),
    dueAfter: text("due_after"),
    dueBefore: text("due_before"),
    hasDue: parseFlag(text("has_due")),
    overdue: parseFlag(text("overdue")),
    createdAfter: text("created_after"),
    createdBefore: text("created_before"),
    updatedAfter: text("updated_after"),
    search: text("search", "q"),
    sort: parseSort(text("sort", "sort_by"), text("order", "sort_order"), defaultSort(view, status)),
  };
}

/**
 * Return the parameters of the filter's address: only what is not the default.
 * @param {Filter} filter
 * @returns {Record<string, string>}
 */
export function filterParams(filter) {
  const flag = (/** @type {boolean | null} */ value) => (value === null ? "" : String(value));
  const usual = defaultSort(filter.view, filter.status);
  const isUsual = usual.field === filter.sort.field && usual.descending === filter.sort.descending;
  const all = {
    view: filter.view === "all" ? "" : filter.view,
    status: filter.status === defaultStatus(filter.view) ? "" : filter.status,
    priority: filter.priority.join(","),
    tags: joinList(filter.tags),
    tags_any: joinList(filter.tagsAny),
    parent_id: filter.parentId === null ? "" : String(filter.parentId),
    due_after: filter.dueAfter,
    due_before: filter.dueBefore,
    has_due: flag(filter.hasDue),
    overdue: flag(filter.overdue),
    created_after: filter.createdAfter,
    created_before: filter.createdBefore,
    updated_after: filter.updatedAfter,
    search: filter.search,
    sort: isUsual ? "" : writeSort(filter.sort),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

/**
 * Return the order of a view if its address names none.
 * @param {View} view
 * @param {Filter["status"]} status
 * @returns {Sort}
 */
export function defaultSort(view, status) {
  if (view === "trash") {
    return { field: "updated_at", descending: true };
  }
  if (view === "today" || view === "upcoming") {
    return { field: "due_date", descending: false };
  }
  return status === "completed"
    ? { field: "completed_at", descending: true }
    : { field: "position", descending: false };
}

/**
 * Return the sort as the API writes it.
 * @param {Sort} sort
 */
export function writeSort(sort) {
  return `${sort.descending ? "-" : ""}${sort.field}`;
}

/**
 * Return whether the list has more conditions than its view, so that it may be empty because of them.
 * @param {Filter} filter
 */
export function isNarrowed(filter) {
  const { view, status, sort, ...others } = filterParams(filter);
  return Object.keys(others).length > 0;
}

/**
 * Return the predicate of the filter at this moment.
 * @param {Filter} filter
 * @param {{ zone: string, now: number }} context
 * @returns {(task: LocalTask) => boolean}
 */
export function matcher(filter, { zone, now }) {
  const tests = [
    ...statusTests(filter),
    ...tagTests(filter),
    ...dueTests(filter, zone, now),
    ...timeTests(filter),
    ...searchTests(filter),
  ];
  return (task) => tests.every((test) => test(task));
}

/**
 * Return the tasks in this order. Tasks without the value come last.
 * @param {readonly LocalTask[]} tasks
 * @param {Sort} sort
 * @param {string} zone
 * @returns {LocalTask[]}
 */
export function sortTasks(tasks, sort, zone) {
  const sign = sort.descending ? -1 : 1;
  const value = valueOf(sort.field, zone);
  const items = tasks.map((task) => ({ task, value: value(task) }));
  items.sort((a, b) => compareValues(a.value, b.value, sign) || sign * (a.task.id - b.task.id));
  return items.map((item) => item.task);
}

/**
 * @param {string | number | null} a
 * @param {string | number | null} b
 * @param {number} sign
 */
function compareValues(a, b, sign) {
  if (a === null || b === null) {
    return Number(a === null) - Number(b === null);
  }
  const compared = typeof a === "string" && typeof b === "string" ? compareText(a, b) : Number(a) - Number(b);
  return sign * compared;
}

/**
 * Return when the task is due, or null.
 * @param {LocalTask} task
 * @param {string} zone
 */
export function dueOf(task, zone) {
  return task.due_date === null ? null : dueMoment(task.due_date, zone);
}

/**
 * Return whether the task is open and was due before now.
 * @param {LocalTask} task
 * @param {string} zone
 * @param {number} now
 */
export function isOverdue(task, zone, now) {
  return !task.completed && task.due_date !== null && dueMoment(task.due_date, zone) < now;
}

/**
 * @param {string} field
 * @param {string} zone
 * @returns {(task: LocalTask) => string | number | null}
 */
function valueOf(field, zone) {
  switch (field) {
    case "position":
      return (task) => task.position;
    case "title":
      return (task) => prepare(task).folded;
    case "due_date":
      return (task) => dueOf(task, zone);
    case "priority":
      return (task) => PRIORITIES.indexOf(task.priority);
    case "completed_at":
      return (task) => (task.completed_at === null ? null : Date.parse(task.completed_at));
    case "updated_at":
      return (task) => Date.parse(task.updated_at);
    default:
      return (task) => Date.parse(task.created_at);
  }
}

/**
 * @param {Filter} filter
 * @returns {((task: LocalTask) => boolean)[]}
 */
function statusTests({ status, priority, parentId }) {
  const tests = [];
  if (status !== "all") {
    const completed = status === "completed";
    tests.push((/** @type {LocalTask} */ task) => task.completed === completed);
  }
  if (priority.length > 0) {
    tests.push((/** @type {LocalTask} */ task) => priority.includes(task.priority));
  }
  if (parentId !== null) {
    const wanted = parentId === "none" ? null : parentId;
    tests.push((/** @type {LocalTask} */ task) => task.parent_id === wanted);
  }
  return tests;
}

/**
 * @param {Filter} filter
 * @returns {((task: LocalTask) => boolean)[]}
 */
function tagTests({ tags, tagsAny }) {
  const [all, any] = [tags.map(foldTag), tagsAny.map(foldTag)];
  const has = (/** @type {LocalTask} */ task, /** @type {string} */ tag) =>
    task.tags.some((each) => foldTag(each) === tag);
  const tests = [];
  if (all.length > 0) {
    tests.push((/** @type {LocalTask} */ task) => all.every((tag) => has(task, tag)));
  }
  if (any.length > 0) {
    tests.push((/** @type {LocalTask} */ task) => any.some((tag) => has(task, tag)));
  }
  return tests;
}

/**
 * @param {Filter} filter
 * @param {string} zone
 * @param {number} now
 * @returns {((task: LocalTask) => boolean)[]}
 */
function dueTests(filter, zone, now) {
  /** @type {((due: number | null, task: LocalTask) => boolean)[]} */
  const tests = [];
  const tonight = startOfDay(addDays(today(zone, now), 1), zone);
  const after = filter.view === "upcoming" ? tonight : readMoment(filter.dueAfter, zone);
  const before = filter.view === "today" ? tonight : readMoment(filter.dueBefore, zone);
  if (after !== null) {
    tests.push((due) => due !== null && due >= after);
  }
  if (before !== null) {
    tests.push((due) => due !== null && due < before);
  }
  if (filter.hasDue !== null) {
    tests.push((due) => (due !== null) === filter.hasDue);
  }
  if (filter.overdue !== null) {
    tests.push((due, task) => (!task.completed && due !== null && due < now) === filter.overdue);
  }
  if (tests.length === 0) {
    return [];
  }
  return [
    (task) => {
      const due = dueOf(task, zone);
      return tests.every((test) => test(due, task));
    },
  ];
}

/**
 * @param {Filter} filter
 * @returns {((task: LocalTask) => boolean)[]}
 */
function timeTests({ createdAfter, createdBefore, updatedAfter }) {
  const tests = [];
  const [from, until, changed] = [createdAfter, createdBefore, updatedAfter].map((text) => readMoment(text, "UTC"));
  if (typeof from === "number") {
    tests.push((/** @type {LocalTask} */ task) => Date.parse(task.created_at) > from);
  }
  if (typeof until === "number") {
    tests.push((/** @type {LocalTask} */ task) => Date.parse(task.created_at) < until);
  }
  if (typeof changed === "number") {
    tests.push((/** @type {LocalTask} */ task) => Date.parse(task.updated_at) > changed);
  }
  return tests;
}

/**
 * @param {Filter} filter
 * @returns {((task: LocalTask) => boolean)[]}
 */
function searchTests({ search }) {
  const wanted = fold(search);
  return wanted === "" ? [] : [(task) => searchableText(task).includes(wanted)];
}

/** @typedef {{ title: string, description: string | null, text: string, folded: string }} Prepared */
/** @type {WeakMap<LocalTask, Prepared>} */
const prepared = new WeakMap();

/**
 * Return the title and the description in the form in which they are searched.
 * @param {LocalTask} task
 */
export function searchableText(task) {
  return prepare(task).text;
}

/**
 * @param {LocalTask} task
 * @returns {Prepared}
 */
function prepare(task) {
  const known = prepared.get(task);
  if (known && known.title === task.title && known.description === task.description) {
    return known;
  }
  const folded = fold(task.title);
  const text = task.description === null ? folded : `${folded}\n${fold(task.description)}`;
  const made = { title: task.title, description: task.description, text, folded };
  prepared.set(task, made);
  return made;
}

/**
 * @param {string} text a day, a local time or a moment
 * @param {string} zone
 */
function readMoment(text, zone) {
  if (isDay(text)) {
    return startOfDay(text, zone);
  }
  const local = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d)?$/.exec(text);
  const moment = local ? momentOf(local[1] ?? "", local[2] ?? "", zone) : Date.parse(text);
  return Number.isNaN(moment) ? null : moment;
}

/**
 * @param {string} status
 * @param {string} completed
 * @param {View} view
 * @returns {Filter["status"]}
 */
function parseStatus(status, completed, view) {
  switch (status || { true: "completed", false: "pending" }[completed]) {
    case "all":
      return "all";
    case "completed":
      return "completed";
    case "pending":
    case "active":
      return "pending";
    default:
      return defaultStatus(view);
  }
}

/**
 * @param {View} view
 * @returns {Filter["status"]}
 */
function defaultStatus(view) {
  return view === "trash" ? "all" : "pending";
}

/** @param {string} text */
function parseParent(text) {
  if (text === "none") {
    return text;
  }
  return /^-?\d+$/.test(text) ? Number(text) : null;
}

/** @param {string} text */
function parseFlag(text) {
  return text === "true" ? true : text === "false" ? false : null;
}

/**
 * @param {string} text
 * @param {string} order
 * @param {Sort} usual
 * @returns {Sort}
 */
function parseSort(text, order, usual) {
  const field = text.replace(/^-/, "");
  const known = SORT_FIELDS.includes(field) ? { field, descending: text.startsWith("-") } : (SORTS.get(text) ?? usual);
  return order === "asc" || order === "desc" ? { ...known, descending: order === "desc" } : known;
}

/**
 * Return the names that are separated by commas; `\,` is a comma of a name.
 * @param {string[]} values
 */
function splitList(values) {
  const names = values.flatMap((value) => value.match(/(?:\\.|[^,\\])+/gs) ?? []);
  return names.map((name) => name.replace(/\\(.)/gs, "$1").trim()).filter((name) => name !== "");
}

/** @param {string[]} names */
function joinList(names) {
  return names.map((name) => name.replace(/[\\,]/g, "\\$&")).join(",");
}
