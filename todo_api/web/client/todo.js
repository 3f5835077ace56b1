/** The client of the Todo API, for browsers and Node. docs/front-ends.md shows how to use it. */

/** @import { components } from "./api.js" */

export { TodoClient } from "./client.js";
export { ConflictError, OfflineError, TodoError } from "./errors.js";
export { OfflineTasks } from "./offline.js";
export { Tasks } from "./tasks.js";

/** @typedef {components["schemas"]["TaskResponse"]} Task */
/** @typedef {import("./offline-rules.js").LocalTask} LocalTask */
/** @typedef {import("./session.js").User} User */
