export { TodoClient } from "./client.js";
export { Tasks } from "./tasks.js";
export type Task = components["schemas"]["TaskResponse"];
import type { components } from "./api.js";
export { ConflictError, OfflineError, TodoError } from "./errors.js";
