/**
 * @param {Task} task
 * @returns {Task} without what only the copy has
 */
export function plain(task: Task): Task;
/**
 * The tasks and the queue in memory.
 *
 * Each task is kept once. Of those that a queued write concerns, `#covered` has what is below it.
 */
export class OfflineCopy {
    /** @type {Map<number, LocalTask>} */
    tasks: Map<number, LocalTask>;
    /** @type {QueuedWrite[]} In the order in which they are sent. */
    queue: QueuedWrite[];
    /** @type {Progress} */
    progress: Progress;
    /**
     * Begin with what is on disk.
     *
     * @param {{ tasks: Task[], queue: QueuedWrite[], progress: Progress }} loaded
     * @param {Iterable<QueuedWrite>} uncommitted writes that may not be on disk yet
     */
    load({ tasks, queue, progress }: {
        tasks: Task[];
        queue: QueuedWrite[];
        progress: Progress;
    }, uncommitted: Iterable<QueuedWrite>): void;
    /**
     * Change the tasks and the queue, below the writes that stay in it.
     *
     * @param {Patch} patch
     * @param {[number, number][]} replaced temporary ids and those that replace them
     * @returns {number[] | null} the tasks that may have changed; null: all
     */
    apply({ reset, tasks, put, drop, progress }: Patch, replaced: [number, number][]): number[] | null;
    /**
     * Queue a write, and show it.
     *
     * @param {QueuedWrite} write
     * @returns {number[]} the tasks that may have changed
     */
    push(write: QueuedWrite): number[];
    /** @param {number} id also a temporary one that was replaced */
    get(id: number): LocalTask | undefined;
    /**
     * @param {number} id
     * @returns {LocalTask}
     */
    existing(id: number): LocalTask;
    /**
     * @param {number} id
     * @returns {number} the id by which the service knows the task, if it does
     */
    resolve(id: number): number;
    /**
     * @param {number} temporary
     * @param {number} id
     */
    replace(temporary: number, id: number): void;
    /**
     * @param {number} id
     * @returns {LocalTask[]}
     */
    childrenOf(id: number): LocalTask[];
    /**
     * @param {number} id
     * @returns {Task[]} its stored subtasks, without what the queue does to them
     */
    storedChildrenOf(id: number): Task[];
    /**
     * @param {LocalTask} task
     * @param {Place} place
     * @returns {string} a position there, until the service answers with its own
     */
    positionAt(task: LocalTask, { before, after }: Place): string;
    /** @returns {number} microseconds since 1970, more than at any time before, in every tab */
    stamp(): number;
    #private;
}
import type { Task } from "./tasks.js";
import type { LocalTask } from "./offline-rules.js";
import type { QueuedWrite } from "./offline-rules.js";
import type { Progress } from "./offline-store.js";
import type { Patch } from "./offline-store.js";
import type { Place } from "./tasks.js";
