/** What a queued write looks like in the copy before the service has answered. */

/** @import { NewTask, Place, Task, TaskChanges } from "./tasks.js" */

/**
 * A task of the copy. `key` stays the same when its temporary id is replaced; `pending` tells that
 * it has writes that the service has not answered.
 *
 * @typedef {Task & { key: string, pending: boolean }} LocalTask
 */

/**
 * A write that waits in the queue.
 *
 * @typedef {object} QueuedWrite
 * @property {number} order the queue is sorted by it
 * @property {string} key the idempotency key
 * @property {"create" | "update" | "complete" | "delete" | "restore" | "move"} kind
 * @property {number} id of the task; negative while the task is not stored
 * @property {NewTask | TaskChanges | Place | null} body
 * @property {number} version which the user has seen; 0: none
 * @property {Partial<Task>} seen the values of the fields it changes, as the user has seen them
 * @property {Partial<Task>} shown the values of the fields that it shows until it is answered
 * @property {Task[]} family the tasks that it brings back
 */

/**
 * @typedef {object} View
 * @property {(id: number) => LocalTask | undefined} get
 * @property {(task: Task) => void} put
 * @property {(id: number) => void} remove
 * @property {(id: number) => LocalTask[]} children
 */

/** What a new task has unless something else is sent. */
export const DEFAULTS = Object.freeze({
  description: null,
  completed: false,
  status: "pending",
  completed_at: null,
  priority: "medium",
  due_date: null,
  tags: /** @type {string[]} */ (/** @type {unknown} */ (Object.freeze([]))),
  reminders: /** @type {Task["reminders"]} */ (/** @type {unknown} */ (Object.freeze([]))),
  recurrence_rule: null,
  recurrence_pattern: null,
  recurrence_interval: null,
  repeat_from: null,
  next_id: null,
  parent_id: null,
});

/** The fields that must not have been changed by others when a task is deleted. */
export const CONTENT = /** @type {const} */ (["title", "description", "due_date", "completed"]);

/**
 * Let the copy show a write.
 *
 * @param {QueuedWrite} write
 * @param {View} view
 */
export function show(write, view) {
  const task = view.get(write.id);
  if (write.kind === "create") {
    view.put(/** @type {Task} */ ({ ...DEFAULTS, ...write.shown, id: write.id }));
  } else if (write.kind === "restore") {
    for (const each of write.family) if (!view.get(each.id)) view.put(each);
  } else if (task && write.kind === "delete") {
    for (const child of view.children(task.id)) view.remove(child.id);
    view.remove(task.id);
  } else if (task) {
    view.put({ ...task, ...write.shown });
    if (write.shown.completed) completeChildren(write, view);
  }
}

/**
 * @param {QueuedWrite} write
 * @param {View} view
 */
function completeChildren({ id, shown }, view) {
  const { completed, status, completed_at } = shown;
  for (const child of view.children(id)) {
    if (!child.completed) view.put(/** @type {Task} */ ({ ...child, completed, status, completed_at }));
  }
}

/**
 * Translate what is sent to the fields of a task, as far as that can be known here.
 *
 * @param {TaskChanges} changes
 * @param {Date} now
 * @returns {Partial<Task>}
 */
export function fieldsOf(changes, now) {
  const { remind_at, completed, status, recurrence_pattern, recurrence_interval, ...rest } = changes;
  /** @type {Record<string, unknown>} */
  const fields = {};
  for (const [name, value] of Object.entries(rest)) {
    const fallback = DEFAULTS[/** @type {keyof typeof DEFAULTS} */ (name)];
    fields[name] = value === null || value === "" ? fallback : value;
  }
  if (rest.title !== undefined) fields.title = rest.title.trim();
  if (rest.reminders) fields.reminders = rest.reminders.map((each) => ({ remind_at: null, ...each }));
  if (remind_at !== undefined && !rest.reminders) fields.reminders = remind_at ? [{ remind_at }] : [];
  const isCompleted = completed ?? (status === undefined ? undefined : status === "completed");
  if (isCompleted !== undefined) Object.assign(fields, completion(isCompleted, now));
  if (rest.recurrence_rule !== undefined) Object.assign(fields, repetition(rest.recurrence_rule));
  else if (recurrence_pattern !== undefined) {
    Object.assign(fields, repetition(recurrence_pattern, recurrence_interval ?? 1));
  }
  return fields;
}

/**
 * @param {boolean} completed
 * @param {Date} now
 * @returns {Partial<Task>}
 */
export function completion(completed, now) {
  const completed_at = completed ? now.toISOString() : null;
  return { completed, status: completed ? "completed" : "pending", completed_at };
}

/**
 * @param {string | null} rule a rule or its shorthand, which is kept as it is
 * @param {number} [interval]
 * @returns {Partial<Task>}
 */
function repetition(rule, interval) {
  if (!rule || rule === "none") {
    return { recurrence_rule: null, recurrence_pattern: null, recurrence_interval: null };
  }
  const frequency = (rule.match(/FREQ=(\w+)/i)?.[1] ?? rule).toLowerCase();
  return {
    recurrence_rule: interval && interval > 1 ? `FREQ=${frequency.toUpperCase()};INTERVAL=${interval}` : rule,
    recurrence_pattern: /** @type {Task["recurrence_pattern"]} */ (frequency),
    recurrence_interval: interval ?? Number(rule.match(/INTERVAL=(\d+)/i)?.[1] ?? 1),
  };
}

/**
 * Return whether another device has given a different value to a field that a write changes.
 *
 * @param {QueuedWrite} write
 * @param {Task} current
 * @returns {boolean}
 */
export function isInConflict(write, current) {
  return Object.entries(write.seen).some(([name, seen]) => {
    const field = /** @type {keyof Task} */ (name);
    return !isSame(current[field], seen) && !isSame(current[field], write.shown[field]);
  });
}

/**
 * The later writes to a task, after one of them was answered: they continue from its result. After a
 * restoration they do so only if it shows what the user saw: the task may have been changed between.
 *
 * @param {QueuedWrite} done
 * @param {Task} stored
 * @param {QueuedWrite} later
 * @returns {QueuedWrite}
 */
export function carryOver(done, stored, later) {
  const seen = /** @type {Record<string, unknown>} */ ({ ...later.seen });
  for (const name of Object.keys(seen)) {
    const field = /** @type {keyof Task} */ (name);
    // The user has seen the value as it was sent. The service may write it in another form.
    if (field in done.shown && isSame(seen[field], done.shown[field])) seen[field] = stored[field];
  }
  const isNext =
    done.kind === "restore"
      ? !isInConflict({ ...later, seen }, stored)
      : done.kind === "create" || later.version === done.version;
  return { ...later, seen, version: isNext ? stored.version : later.version };
}

/**
 * @param {QueuedWrite} write
 * @param {(id: number) => number} resolve the id of a task that is stored by now
 * @returns {QueuedWrite} the write without ids that were replaced
 */
export function withStoredIds(write, resolve) {
  /** @type {Record<string, unknown>} */
  const ids = {};
  for (const [name, value] of Object.entries(write.body ?? {})) {
    const isId = typeof value === "number" && ["parent_id", "before", "after"].includes(name);
    if (isId) ids[name] = resolve(value);
  }
  const parent = write.shown.parent_id;
  const shown = parent ? { ...write.shown, parent_id: resolve(parent) } : write.shown;
  const family = write.family.map((task) => {
    return { ...task, id: resolve(task.id), parent_id: task.parent_id && resolve(task.parent_id) };
  });
  const body = write.body && { ...write.body, ...ids };
  return { ...write, id: resolve(write.id), shown, family, body };
}

/**
 * @param {QueuedWrite} write
 * @param {number} other
 * @returns {boolean} whether the write cannot succeed without this task
 */
export function dependsOn({ id, body }, other) {
  const { parent_id, before, after } = /** @type {Place} */ (body ?? {});
  return [id, parent_id, before, after].includes(other);
}

/**
 * @param {unknown} one
 * @param {unknown} other
 * @returns {boolean} whether they are written alike as JSON
 */
export function isSame(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
