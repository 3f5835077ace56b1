/**
 * Let the copy show a write.
 *
 * @param {QueuedWrite} write
 * @param {View} view
 */
export function show(write: QueuedWrite, view: View): void;
/**
 * Translate what is sent to the fields of a task, as far as that can be known here.
 *
 * @param {TaskChanges} changes
 * @param {Date} now
 * @returns {Partial<Task>}
 */
export function fieldsOf(changes: TaskChanges, now: Date): Partial<Task>;
/**
 * @param {boolean} completed
 * @param {Date} now
 * @returns {Partial<Task>}
 */
export function completion(completed: boolean, now: Date): Partial<Task>;
/**
 * Return whether another device has given a different value to a field that a write changes.
 *
 * @param {QueuedWrite} write
 * @param {Task} current
 * @returns {boolean}
 */
export function isInConflict(write: QueuedWrite, current: Task): boolean;
/**
 * The later writes to a task, after one of them was answered: they continue from its result. After a
 * restoration they do so only if it shows what the user saw: the task may have been changed between.
 *
 * @param {QueuedWrite} done
 * @param {Task} stored
 * @param {QueuedWrite} later
 * @returns {QueuedWrite}
 */
export function carryOver(done: QueuedWrite, stored: Task, later: QueuedWrite): QueuedWrite;
/**
 * @param {QueuedWrite} write
 * @param {(id: number) => number} resolve the id of a task that is stored by now
 * @returns {QueuedWrite} the write without ids that were replaced
 */
export function withStoredIds(write: QueuedWrite, resolve: (id: number) => number): QueuedWrite;
/**
 * @param {QueuedWrite} write
 * @param {number} other
 * @returns {boolean} whether the write cannot succeed without this task
 */
export function dependsOn({ id, body }: QueuedWrite, other: number): boolean;
/**
 * @param {unknown} one
 * @param {unknown} other
 * @returns {boolean} whether they are written alike as JSON
 */
export function isSame(one: unknown, other: unknown): boolean;
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
export const DEFAULTS: Readonly<{
    description: null;
    completed: false;
    status: "pending";
    completed_at: null;
    priority: "medium";
    due_date: null;
    tags: string[];
    reminders: Task["reminders"];
    recurrence_rule: null;
    recurrence_pattern: null;
    recurrence_interval: null;
    repeat_from: null;
    next_id: null;
    parent_id: null;
}>;
/** The fields that must not have been changed by others when a task is deleted. */
export const CONTENT: readonly ["title", "description", "due_date", "completed"];
/**
 * A task of the copy. `key` stays the same when its temporary id is replaced; `pending` tells that
 * it has writes that the service has not answered.
 */
export type LocalTask = Task & {
    key: string;
    pending: boolean;
};
/**
 * A write that waits in the queue.
 */
export type QueuedWrite = {
    /**
     * the queue is sorted by it
     */
    order: number;
    /**
     * the idempotency key
     */
    key: string;
    kind: "create" | "update" | "complete" | "delete" | "restore" | "move";
    /**
     * of the task; negative while the task is not stored
     */
    id: number;
    body: NewTask | TaskChanges | Place | null;
    /**
     * which the user has seen; 0: none
     */
    version: number;
    /**
     * the values of the fields it changes, as the user has seen them
     */
    seen: Partial<Task>;
    /**
     * the values of the fields that it shows until it is answered
     */
    shown: Partial<Task>;
    /**
     * the tasks that it brings back
     */
    family: Task[];
};
export type View = {
    get: (id: number) => LocalTask | undefined;
    put: (task: Task) => void;
    remove: (id: number) => void;
    children: (id: number) => LocalTask[];
};
import type { TaskChanges } from "./tasks.js";
import type { Task } from "./tasks.js";
import type { NewTask } from "./tasks.js";
import type { Place } from "./tasks.js";
