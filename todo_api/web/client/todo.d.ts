export { TodoClient } from "./client.js";
export { OfflineTasks } from "./offline.js";
export { Tasks } from "./tasks.js";
export type Task = components["schemas"]["TaskResponse"];
export type LocalTask = import("./offline-rules.js").LocalTask;
export type User = import("./session.js").User;
import type { components } from "./api.js";
export { ConflictError, OfflineError, TodoError } from "./errors.js";
