/** @returns {string} a key for one write */
export function newKey(): string;
/** @typedef {components["schemas"]["TaskResponse"]} Task */
/** @typedef {{ remind_at?: string | null, minutes_before?: number | null }} ReminderFields */
/** @typedef {{ reminders?: ReminderFields[] | null }} WithReminders */
/** @typedef {Omit<components["schemas"]["TaskCreate"], "reminders"> & WithReminders} NewTask */
/** @typedef {Omit<components["schemas"]["TaskPatch"], "reminders"> & WithReminders} TaskChanges */
/** @typedef {{ before?: number, after?: number, parent_id?: number | null }} Place */
/** @typedef {components["schemas"]["BulkOperation"]} Operation */
/** @typedef {components["schemas"]["TaskBulkResponse"]["results"][number]} OperationResult */
/** @typedef {components["schemas"]["TaskStatsResponse"]} Stats */
/** @typedef {components["schemas"]["TagCountResponse"]} TagCount */
/** @typedef {Task | number} TaskOrId a task sends its version as `If-Match`, an id sends none */
/**
 * The parameters of a list. Several values may be an array, and times a `Date`.
 *
 * @typedef {Record<string, string | number | boolean | Date | string[] | null | undefined>} Filter
 */
/**
 * @typedef {object} Page
 * @property {Task[]} tasks
 * @property {string | null} next the `cursor` of the next page, or null on the last one
 * @property {number | null} total how many tasks match, if `count` was true
 */
/**
 * @typedef {object} Write
 * @property {string} method
 * @property {string} [path] below the tasks
 * @property {Filter} [query]
 * @property {unknown} [json]
 * @property {number | null} [version] which the task must have
 * @property {string} [key] by which the service recognises the write if it is sent again
 * @property {number} [attempts]
 */
/**
 * The tasks of the signed-in user.
 *
 * Each write has an `Idempotency-Key`, and is sent again with back-off after errors that are
 * temporary. It takes effect once. Of a task that was passed as an object, the version must be the
 * current one; otherwise the write ends with a `ConflictError`.
 */
export class Tasks {
    /** @param {Session} session */
    constructor(session: Session);
    /**
     * Read a page. Read the next one with `page({ ...filter, cursor: next })`.
     *
     * @param {Filter} [filter]
     * @returns {Promise<Page>}
     */
    page(filter?: Filter): Promise<Page>;
    /**
     * Read all tasks that match, page by page.
     *
     * @param {Filter} [filter]
     * @returns {AsyncIterableIterator<Task>}
     */
    list(filter?: Filter): AsyncIterableIterator<Task>;
    /**
     * @param {number} id
     * @returns {Promise<Task>}
     */
    get(id: number): Promise<Task>;
    /**
     * @param {NewTask} fields
     * @returns {Promise<Task>}
     */
    create(fields: NewTask): Promise<Task>;
    /**
     * @param {TaskOrId} task
     * @param {TaskChanges} changes only these fields change
     * @returns {Promise<Task>}
     */
    update(task: TaskOrId, changes: TaskChanges): Promise<Task>;
    /**
     * Complete or reopen a task. Its open subtasks are completed with it.
     *
     * @param {TaskOrId} task
     * @param {boolean} [completed]
     * @returns {Promise<Task>}
     */
    complete(task: TaskOrId, completed?: boolean): Promise<Task>;
    /**
     * Move a task to the trash with its subtasks, or delete it permanently.
     *
     * @param {TaskOrId} task
     * @param {{ permanent?: boolean }} [options]
     * @returns {Promise<void>}
     */
    delete(task: TaskOrId, { permanent }?: {
        permanent?: boolean;
    }): Promise<void>;
    /**
     * Take a task out of the trash, with the subtasks that were deleted with it.
     *
     * @param {TaskOrId} task
     * @returns {Promise<Task>}
     */
    restore(task: TaskOrId): Promise<Task>;
    /**
     * Put a task before or after another one, or under another parent, or both.
     *
     * @param {TaskOrId} task
     * @param {Place} place
     * @returns {Promise<Task>}
     */
    move(task: TaskOrId, place: Place): Promise<Task>;
    /**
     * @param {number[]} ids up to 500 tasks in their new order
     * @returns {Promise<Task[]>}
     */
    reorder(ids: number[]): Promise<Task[]>;
    /**
     * Run up to 500 operations: all take effect or none.
     *
     * @param {Operation[]} operations
     * @returns {Promise<OperationResult[]>}
     */
    bulk(operations: Operation[]): Promise<OperationResult[]>;
    /**
     * @param {Filter} filter
     * @returns {Promise<number>} how many tasks were open
     */
    completeAll(filter: Filter): Promise<number>;
    /**
     * @param {Filter} filter
     * @returns {Promise<number>} how many tasks were moved to the trash
     */
    deleteAll(filter: Filter): Promise<number>;
    /** @returns {Promise<Stats>} */
    stats(): Promise<Stats>;
    /** @returns {Promise<TagCount[]>} those of most tasks first */
    tags(): Promise<TagCount[]>;
    /**
     * Follow the changes of the tasks, without an end: of all tasks first, or since an earlier `next`.
     *
     * They come by a stream of events, or by requests that wait where streams do not get through.
     * Without a connection it tries again with back-off. Of a result with `reset`, drop the copy first.
     * It ends when the signal is aborted, and with a `TodoError` when the session has expired.
     *
     * @param {ChangesOptions} [options]
     * @returns {AsyncIterableIterator<Changes>}
     */
    changes(options?: ChangesOptions): AsyncIterableIterator<Changes>;
    /**
     * Read one page of the changes, for programs that do not follow them.
     *
     * @param {string | null} since
     * @param {{ signal?: AbortSignal }} [options]
     * @returns {Promise<ChangesPage>}
     */
    changesSince(since: string | null, { signal }?: {
        signal?: AbortSignal;
    }): Promise<ChangesPage>;
    /**
     * Send a write again until it is answered, at most so many times.
     *
     * @param {Write} write
     * @returns {Promise<any>} the body of the response
     */
    write({ method, path, query, json, version, key, attempts }: Write): Promise<any>;
    #private;
}
export type Task = components["schemas"]["TaskResponse"];
export type ReminderFields = {
    remind_at?: string | null;
    minutes_before?: number | null;
};
export type WithReminders = {
    reminders?: ReminderFields[] | null;
};
export type NewTask = Omit<components["schemas"]["TaskCreate"], "reminders"> & WithReminders;
export type TaskChanges = Omit<components["schemas"]["TaskPatch"], "reminders"> & WithReminders;
export type Place = {
    before?: number;
    after?: number;
    parent_id?: number | null;
};
export type Operation = components["schemas"]["BulkOperation"];
export type OperationResult = components["schemas"]["TaskBulkResponse"]["results"][number];
export type Stats = components["schemas"]["TaskStatsResponse"];
export type TagCount = components["schemas"]["TagCountResponse"];
/**
 * a task sends its version as `If-Match`, an id sends none
 */
export type TaskOrId = Task | number;
/**
 * The parameters of a list. Several values may be an array, and times a `Date`.
 */
export type Filter = Record<string, string | number | boolean | Date | string[] | null | undefined>;
export type Page = {
    tasks: Task[];
    /**
     * the `cursor` of the next page, or null on the last one
     */
    next: string | null;
    /**
     * how many tasks match, if `count` was true
     */
    total: number | null;
};
export type Write = {
    method: string;
    /**
     * below the tasks
     */
    path?: string | undefined;
    query?: Filter | undefined;
    json?: unknown;
    /**
     * which the task must have
     */
    version?: number | null | undefined;
    /**
     * by which the service recognises the write if it is sent again
     */
    key?: string | undefined;
    attempts?: number | undefined;
};
import type { ChangesOptions } from "./changes.js";
import type { Changes } from "./changes.js";
import type { ChangesPage } from "./changes.js";
import type { Session } from "./session.js";
import type { components } from "./api.js";
