/**
 * The subtasks of an open task, with a field that adds one.
 */

import { h, iconButton } from "../ui/dom.js";
import { openMenu } from "../ui/menu.js";
import { createQuickAdd } from "./quick-add-field.js";
import { createCheck } from "./row.js";
import { createTextField } from "./text-field.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./view.js").TaskView} TaskView */
/** @typedef {{ element: HTMLElement, update: (task: LocalTask) => void }} Item */

/**
 * @param {TaskView} view
 * @param {() => LocalTask} read the task as it is now
 */
export function createSubtasks(view, read) {
  /** @type {Map<string, Item>} */
  const items = new Map();
  const list = h("ul", { class: "subtasks", "aria-label": "Subtasks" });
  const quickAdd = createQuickAdd({
    label: "Add a subtask",
    zone: () => view.store.zone,
    onAdd: (fields) => view.commands.addSubtask(read(), fields),
    isSmall: true,
  });
  const element = h("div", { class: "card-subtasks" }, list, quickAdd.element);

  function update() {
    const task = read();
    const subtasks = view.store.children(task.id);
    element.hidden = task.parent_id !== null;
    list.hidden = subtasks.length === 0;
    const keys = new Set(subtasks.map((each) => each.key));
    for (const [key, item] of items) {
      if (!keys.has(key)) {
        item.element.remove();
        items.delete(key);
      }
    }
    let place = list.firstElementChild;
    for (const subtask of subtasks) {
      const item = items.get(subtask.key) ?? createItem(view, subtask);
      items.set(subtask.key, item);
      item.update(subtask);
      if (item.element === place) {
        place = place.nextElementSibling;
      } else {
        list.insertBefore(item.element, place);
      }
    }
  }

  return { element, update };
}

/**
 * @param {TaskView} view
 * @param {LocalTask} opened
 * @returns {Item}
 */
function createItem(view, opened) {
  let task = opened;
  const title = createTextField({
    label: "Title of the subtask",
    className: "subtask-title",
    maxLength: 200,
    isRequired: true,
    read: () => task.title,
    save: (text) => view.actions.save(task, { title: text }),
    keep: (before) => view.actions.keep(task, { title: before }),
  });
  const check = createCheck("", () => view.commands.complete([task], !task.completed));
  const more = iconButton("more", "Actions for the subtask", () => openMenu(more, items(), { label: "Actions" }), { "aria-haspopup": "menu" });
  const items = () => [
    { label: "Open", icon: "edit", run: () => void view.opened.open(task) },
    {
      label: "Make it a task of its own",
      icon: "inbox",
      run: () => view.actions.move(task, { parent_id: null }, `“${task.title}” is a task of its own.`),
    },
    { label: "Delete", icon: "trash", danger: true, run: () => view.commands.remove([task]) },
  ];
  const element = h("li", { class: "subtask" }, check.element, title.element, more);
  return {
    element,
    update: (changed) => {
      task = changed;
      title.update();
      element.classList.toggle("is-completed", task.completed);
      check.update(task);
    },
  };
}
