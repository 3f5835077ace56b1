/**
 * @param {Source} source
 * @param {ChangesOptions} options
 * @returns {AsyncGenerator<Changes, void, void>}
 */
export function followChanges(source: Source, options: ChangesOptions): AsyncGenerator<Changes, void, void>;
export type Change = components["schemas"]["TaskChange"];
export type ChangesPage = components["schemas"]["TaskChangesResponse"];
export type Reminder = {
    id: string;
    task_id: number;
    remind_at: string;
};
export type Changes = {
    /**
     * each task once, as it is now
     */
    changes: Change[];
    /**
     * from where to continue later, as `since`
     */
    next: string;
    /**
     * whether there are more changes already
     */
    more: boolean;
    /**
     * whether these are the first of all tasks: drop the copy
     */
    reset: boolean;
    /**
     * which tasks remind now
     */
    reminders?: Reminder[] | undefined;
    /**
     * from where to continue with the reminders
     */
    lastEventId: string | null;
};
export type ChangesOptions = {
    /**
     * `next` of an earlier result
     */
    since?: string | null | undefined;
    /**
     * of an earlier result, to get the reminders since then
     */
    lastEventId?: string | null | undefined;
    signal?: AbortSignal | undefined;
    /**
     * whose event `online` ends a wait; the window by default
     */
    wake?: EventTarget | undefined;
    /**
     * is told whether the service can be reached
     */
    onState?: ((online: boolean) => void) | undefined;
};
export type Source = {
    read: (query: Filter, signal?: AbortSignal) => Promise<ChangesPage>;
    open: (headers: Record<string, string>, signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | null>;
};
import type { components } from "./api.js";
import type { Filter } from "./tasks.js";
