/**
 * @typedef {object} Tab
 * @property {TodoClient} client
 * @property {string} userId
 * @property {OfflineCopy} copy
 * @property {AbortSignal} signal
 * @property {EventTarget} wake has an event `queued` after each write, and `online` to try again
 * @property {(patch: Patch, replaced?: [number, number][]) => void} patch changes the copies of all
 * @property {(event: string, detail: object) => void} tell sends an event in every tab
 * @property {(isReachable: boolean) => void} setReachable
 * @property {() => boolean} isReachable
 * @property {EventTarget} states has an event `state` when the state has changed
 * @property {() => void} endSync is called when a synchronization has ended
 */
/** Keeps the copy and the service alike, until the signal of the tab is aborted. */
export class OfflineSync {
    /** @param {Tab} tab */
    constructor(tab: Tab);
    run(): Promise<void>;
    /** Send the queue and read the changes now. */
    soon(): void;
    #private;
}
export type Tab = {
    client: TodoClient;
    userId: string;
    copy: OfflineCopy;
    signal: AbortSignal;
    /**
     * has an event `queued` after each write, and `online` to try again
     */
    wake: EventTarget;
    /**
     * changes the copies of all
     */
    patch: (patch: Patch, replaced?: [number, number][]) => void;
    /**
     * sends an event in every tab
     */
    tell: (event: string, detail: object) => void;
    setReachable: (isReachable: boolean) => void;
    isReachable: () => boolean;
    /**
     * has an event `state` when the state has changed
     */
    states: EventTarget;
    /**
     * is called when a synchronization has ended
     */
    endSync: () => void;
};
import type { TodoClient } from "./client.js";
import type { OfflineCopy } from "./offline-copy.js";
import type { Patch } from "./offline-store.js";
