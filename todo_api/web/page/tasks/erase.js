/**
 * Deleting tasks in the trash permanently. This cannot be undone, so the user is asked.
 */

import { announce } from "../ui/announce.js";
import { openDialog } from "../ui/dialog.js";
import { toast } from "../ui/toast.js";
import { nameTasks } from "./actions.js";
import { describeFailure } from "./trash.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./view.js").TaskView} TaskView */

const AT_ONCE = 4;

/**
 * Ask, and delete tasks permanently.
 * @param {TaskView} view
 * @param {readonly LocalTask[]} tasks
 */
export async function eraseTasks(view, tasks) {
  const isAll = tasks.length > 1 && tasks.length === view.trash.tasks.length;
  const answer = await openDialog({
    title: isAll ? "Empty the trash?" : `Delete ${nameTasks(tasks)} permanently?`,
    body: `${tasks.length === 1 ? "The task cannot" : `${tasks.length} tasks cannot`} be restored after that.`,
    actions: [
      { label: "Cancel", value: "cancel" },
      { label: "Delete permanently", value: "delete", kind: "danger" },
    ],
  });
  if (answer !== "delete") {
    return;
  }
  try {
    const waiting = [...tasks];
    const work = async () => {
      for (let task = waiting.pop(); task; task = waiting.pop()) {
        await erase(view, task.id);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    announce(`${nameTasks(tasks)} deleted permanently.`);
  } catch (error) {
    const { title, text } = describeFailure(error);
    toast(`${title}. ${text}`);
  }
  await view.trash.load();
}

/**
 * @param {TaskView} view
 * @param {number} id
 */
async function erase(view, id) {
  try {
    await view.parts.client.tasks.delete(id, { permanent: true });
  } catch (error) {
    // Subtasks go with their parents, so one that is gone already is no error.
    if (!(error instanceof Error && "status" in error && error.status === 404)) {
      throw error;
    }
  }
}
