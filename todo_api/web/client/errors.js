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
  constructor(problem, retryAfter = null) {
    super(problem.detail ?? `The service answered with status ${problem.status}.`);
    this.name = "TodoError";
    /** The status of the response. */
    this.status = problem.status;
    /** A stable name of the error, such as `task_not_found`. */
    this.code = problem.code ?? "";
    /** A sentence that can be shown to users. */
    this.detail = this.message;
    /** @type {FieldProblem[]} What is wrong with each field, if the status is 422. */
    this.errors = problem.errors ?? [];
    /** By which the log of the service names this request. */
    this.requestId = problem.request_id ?? "";
    /** After how many seconds the request can be sent again, if the service said so. */
    this.retryAfter = retryAfter;
  }
}

/** The task was changed since it was read (412). Nothing was written. */
export class ConflictError extends TodoError {
  /**
   * @param {TodoError} error
   * @param {Task} current
   */
  constructor(error, current) {
    super({ ...error, request_id: error.requestId });
    this.name = "ConflictError";
    /** The task as it is now. */
    this.current = current;
  }
}

/** The service cannot be reached. A write may have taken effect all the same. */
export class OfflineError extends Error {
  /** @param {unknown} [cause] */
  constructor(cause) {
    super("The service cannot be reached.", { cause });
    this.name = "OfflineError";
  }
}

/** @returns {TodoError} what a request without a session ends with */
export function notSignedIn() {
  return new TodoError({ status: 401, code: "not_signed_in", detail: "Sign in first." });
}
