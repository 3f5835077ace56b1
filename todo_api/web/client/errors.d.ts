/** @returns {TodoError} what a request without a session ends with */
export function notSignedIn(): TodoError;
/** @import { components } from "./api.js" */
/** @typedef {components["schemas"]["Problem"]} Problem */
/** @typedef {components["schemas"]["FieldProblem"]} FieldProblem */
/** @typedef {components["schemas"]["TaskResponse"]} Task */
/** The service refused a request (RFC 9457). */
export class TodoError extends Error {
    /**
     * @param {Partial<Problem> & { status: number }} problem
     * @param {number | null} [retryAfter]
     */
    constructor(problem: Partial<Problem> & {
        status: number;
    }, retryAfter?: number | null);
    /** The status of the response. */
    status: number;
    /** A stable name of the error, such as `task_not_found`. */
    code: string;
    /** A sentence that can be shown to users. */
    detail: string;
    /** @type {FieldProblem[]} What is wrong with each field, if the status is 422. */
    errors: FieldProblem[];
    /** By which the log of the service names this request. */
    requestId: string;
    /** After how many seconds the request can be sent again, if the service said so. */
    retryAfter: number | null;
}
/** The task was changed since it was read (412). Nothing was written. */
export class ConflictError extends TodoError {
    /**
     * @param {TodoError} error
     * @param {Task} current
     */
    constructor(error: TodoError, current: Task);
    /** The task as it is now. */
    current: {
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
        reminders: components["schemas"]["ReminderResponse"][];
        recurrence_rule: string | null;
        recurrence_pattern: ("daily" | "weekly" | "monthly" | "yearly") | null;
        recurrence_interval: number | null;
        repeat_from: ("due" | "completion") | null;
        next_id: number | null;
        position: string;
        parent_id: number | null;
    };
}
/** The service cannot be reached. A write may have taken effect all the same. */
export class OfflineError extends Error {
    /** @param {unknown} [cause] */
    constructor(cause?: unknown);
}
export type Problem = components["schemas"]["Problem"];
export type FieldProblem = components["schemas"]["FieldProblem"];
export type Task = components["schemas"]["TaskResponse"];
import type { components } from "./api.js";
