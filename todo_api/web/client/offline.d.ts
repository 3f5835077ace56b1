/** @typedef {"loading" | "online" | "offline"} OfflineState */
/**
 * What one tab tells the others.
 *
 * @typedef {{ patch: Patch, replaced: [number, number][] }
 *   | { isReachable: boolean }
 *   | { event: string, detail: any }
 *   | { ask: "state" | "sync" }
 *   | { synced: true }} Message
 */
/**
 * A copy of a user's tasks that works without a connection.
 *
 * Writes take effect in the copy at once, and wait in a queue until the service has answered, also
 * while the page is closed. One tab sends the queue in its order and follows the changes; all tabs
 * show the same. Events: `change` with `{ ids, replaced }` (`ids` is null if everything may have
 * changed), `state`, `conflict` with `{ write, current, retry }`, `refused` with `{ write, error }`
 * and `reminder` with `{ id, task_id, remind_at }`. The last three are sent in every tab.
 */
export class OfflineTasks extends EventTarget {
    /**
     * Load the copy of the signed-in user, and keep it up to date in the background.
     *
     * @param {TodoClient} client
     * @returns {Promise<OfflineTasks>}
     */
    static open(client: TodoClient): Promise<OfflineTasks>;
    /**
     * Delete the copy and the queue of a user from this browser.
     *
     * @param {string} userId
     */
    static forget(userId: string): Promise<void>;
    /**
     * Use `OfflineTasks.open` instead.
     *
     * @param {TodoClient} client
     * @param {string} userId
     */
    constructor(client: TodoClient, userId: string);
    /** Stop. The queue stays, and is sent when the copy is opened again. */
    close(): void;
    /** @returns {ReadonlyMap<number, LocalTask>} the copy with the queued writes applied */
    get tasks(): ReadonlyMap<number, LocalTask>;
    /** @returns {OfflineState} `loading` until all tasks were read once */
    get state(): OfflineState;
    /** How many writes the service has not answered. */
    get pending(): number;
    /**
     * @param {number} id also a temporary one that was replaced
     * @returns {LocalTask | undefined}
     */
    get(id: number): LocalTask | undefined;
    /**
     * Create a task. It has a negative id until the service has stored it.
     *
     * @param {NewTask} fields
     * @returns {LocalTask}
     */
    create(fields: NewTask): LocalTask;
    /**
     * @param {number} id
     * @param {TaskChanges} changes
     * @returns {LocalTask}
     */
    update(id: number, changes: TaskChanges): LocalTask;
    /**
     * Complete or reopen a task. Its open subtasks are completed with it.
     *
     * @param {number} id
     * @param {boolean} [completed]
     * @returns {LocalTask}
     */
    complete(id: number, completed?: boolean): LocalTask;
    /**
     * Move a task to the trash, with its subtasks.
     *
     * @param {number} id
     */
    delete(id: number): void;
    /**
     * Take a task out of the trash. What was deleted here lately is shown again at once.
     *
     * @param {number} id
     */
    restore(id: number): void;
    /**
     * Put a task before or after another one, or under another parent, or both.
     *
     * @param {number} id
     * @param {Place} place
     * @returns {LocalTask}
     */
    move(id: number, place: Place): LocalTask;
    /** Send the queue and read the changes now. It ends when that was done, or could not be. */
    sync(): Promise<void>;
    #private;
}
export type OfflineState = "loading" | "online" | "offline";
/**
 * What one tab tells the others.
 */
export type Message = {
    patch: Patch;
    replaced: [number, number][];
} | {
    isReachable: boolean;
} | {
    event: string;
    detail: any;
} | {
    ask: "state" | "sync";
} | {
    synced: true;
};
import type { LocalTask } from "./offline-rules.js";
import type { NewTask } from "./tasks.js";
import type { TaskChanges } from "./tasks.js";
import type { Place } from "./tasks.js";
import type { TodoClient } from "./client.js";
import type { Patch } from "./offline-store.js";
