/**
 * The menu of a task, and what its keys do.
 */

import { openMenu } from "../ui/menu.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./store.js").TaskRow} TaskRow */
/** @typedef {import("./view.js").TaskView} TaskView */

/**
 * Open the menu of a task.
 * @param {TaskView} view
 * @param {TaskRow} row
 * @param {Element} anchor
 * @param {{ x: number, y: number }} [at] the pointer
 */
export function openTaskMenu(view, row, anchor, at) {
  const { task } = row;
  const canIndent = view.canReorder && row.level === 1 && view.store.children(task.id).length === 0;
  const moves = view.canReorder
    ? /** @type {const} */ ([
        "separator",
        { label: "Move up", icon: "sort", shortcut: "Alt ↑", run: () => void view.commands.step(row, "up") },
        { label: "Move down", icon: "sort", shortcut: "Alt ↓", run: () => void view.commands.step(row, "down") },
        row.level === 2 || task.parent_id !== null
          ? { label: "Make it a task of its own", icon: "indent", shortcut: "Alt ←", run: () => void view.commands.step(row, "out") }
          : { label: "Make it a subtask", icon: "indent", shortcut: "Alt →", disabled: !canIndent, run: () => void view.commands.step(row, "in") },
      ])
    : [];
  openMenu(
    anchor,
    [
      { label: "Open", icon: "edit", shortcut: "Enter", run: () => void view.opened.open(task) },
      { label: "Due date", icon: "calendar", shortcut: "d", run: () => void view.opened.open(task, "due") },
      { label: "Priority", icon: "flag", shortcut: "p", run: () => void view.opened.open(task, "priority") },
      { label: "Tags", icon: "tag", shortcut: "t", run: () => void view.opened.open(task, "tags") },
      ...moves,
      "separator",
      { label: "Select", icon: "circle-check", shortcut: "x", run: () => view.selection.toggle(row.key) },
      { label: "Delete", icon: "trash", shortcut: "Del", danger: true, run: () => view.commands.remove([task]) },
    ],
    { label: `Actions for ${task.title}`, ...(at ? { at } : {}) },
  );
}
