/**
 * @param {string} name
 * @param {QueuedWrite} write
 */
export function remember(name: string, write: QueuedWrite): void;
/**
 * @param {string} name
 * @param {QueuedWrite} write
 */
export function release(name: string, write: QueuedWrite): void;
/**
 * @param {string} name
 * @returns {QueuedWrite[]} what was not stored when a page was left
 */
export function remembered(name: string): QueuedWrite[];
import type { QueuedWrite } from "./offline-rules.js";
