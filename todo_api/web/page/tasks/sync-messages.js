/**
 * What the user is told of changes made elsewhere, refused changes, and reminders.
 */

import { toast } from "../ui/toast.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./view.js").TaskView} TaskView */

const LONG = 20;

/**
 * @param {TaskView} view
 * @param {AbortSignal} signal
 */
export function showSyncMessages(view, signal) {
  const { offline } = view.parts;
  const listen = (/** @type {string} */ name, /** @type {(detail: any) => void} */ handle) =>
    offline.addEventListener(name, (event) => handle(/** @type {CustomEvent} */ (event).detail), { signal });

  listen("conflict", (/** @type {{ current: LocalTask | null, retry: () => void }} */ { current, retry }) => {
    if (current && view.opened.card?.isFor(current.id)) {
      view.opened.card.showConflict(retry);
    } else {
      const text = current ? `“${current.title}” was changed elsewhere. That change was kept.` : "A task that you changed was deleted elsewhere.";
      toast(text, current ? { action: { label: "Use mine", run: retry }, seconds: LONG } : {});
    }
  });
  listen("refused", (/** @type {{ write: { id?: number, task_id?: number }, error: Error & { detail?: string, errors?: { message: string }[] } }} */ { write, error }) => {
    const reason = error.errors?.[0]?.message ?? error.detail ?? error.message;
    const id = write.id ?? write.task_id;
    if (id !== undefined && view.opened.card?.isFor(id)) {
      view.opened.card.showRefusal(reason);
    } else {
      toast(`A change was refused. ${reason}`, { seconds: LONG });
    }
  });
  listen("reminder", (/** @type {{ task_id: number }} */ { task_id: id }) => {
    const task = view.store.get(id);
    if (task && !task.completed) {
      toast(`Reminder: ${task.title}`, { action: { label: "Open", run: () => void view.opened.open(task) }, seconds: 60 });
    }
  });
}
