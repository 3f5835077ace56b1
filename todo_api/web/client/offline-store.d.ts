/**
 * How far the copy is.
 *
 * @typedef {object} Progress
 * @property {string | null} since from where to continue with the changes
 * @property {string | null} lastEventId from where to continue with the reminders
 * @property {boolean} complete whether all tasks were read once
 * @property {[number, number][]} replaced temporary ids and those that have replaced them lately
 */
/**
 * @typedef {object} Patch
 * @property {boolean} [reset] the copy is dropped first
 * @property {[number, Task | null][]} [tasks] null: the task is gone
 * @property {QueuedWrite[]} [put]
 * @property {number[]} [drop] the `order` of writes that leave the queue
 * @property {Partial<Progress>} [progress]
 */
/** @type {Progress} */
export const NO_PROGRESS: Progress;
export class OfflineStore {
    /**
     * @param {string} name
     * @returns {Promise<OfflineStore | null>} null if this browser stores nothing
     */
    static open(name: string): Promise<OfflineStore | null>;
    /** @param {string} name */
    static delete(name: string): Promise<void>;
    /** @param {IDBDatabase} database */
    constructor(database: IDBDatabase);
    /** @returns {Promise<{ tasks: Task[], queue: QueuedWrite[], progress: Progress }>} */
    load(): Promise<{
        tasks: Task[];
        queue: QueuedWrite[];
        progress: Progress;
    }>;
    /**
     * Store what has changed, all of it or nothing, after what was stored before.
     *
     * @param {Patch} patch
     * @returns {Promise<void>}
     */
    commit({ reset, tasks, put, drop, progress }: Patch): Promise<void>;
    close(): void;
    #private;
}
/**
 * How far the copy is.
 */
export type Progress = {
    /**
     * from where to continue with the changes
     */
    since: string | null;
    /**
     * from where to continue with the reminders
     */
    lastEventId: string | null;
    /**
     * whether all tasks were read once
     */
    complete: boolean;
    /**
     * temporary ids and those that have replaced them lately
     */
    replaced: [number, number][];
};
export type Patch = {
    /**
     * the copy is dropped first
     */
    reset?: boolean | undefined;
    /**
     * null: the task is gone
     */
    tasks?: [number, {
        id: number;
        user_id: string;
        title: string;
        description: string | null;
        completed: boolean;
        created_at: string;
        updated_at: string;
        version: number;
        status: "pending" | "completed";
        completed_at: string | null;
        priority: "none" | "low" | "medium" | "high" | "urgent";
        due_date: string | null;
        tags: string[];
        reminders: import("./api.js").components["schemas"]["ReminderResponse"][];
        recurrence_rule: string | null;
        recurrence_pattern: ("daily" | "weekly" | "monthly" | "yearly") | null;
        recurrence_interval: number | null;
        repeat_from: ("due" | "completion") | null;
        next_id: number | null;
        position: string;
        parent_id: number | null;
    } | null][] | undefined;
    put?: QueuedWrite[] | undefined;
    /**
     * the `order` of writes that leave the queue
     */
    drop?: number[] | undefined;
    progress?: Partial<Progress> | undefined;
};
import type { Task } from "./tasks.js";
import type { QueuedWrite } from "./offline-rules.js";
