/**
 * What can be done to the selected tasks.
 */

import { h, icon, iconButton } from "../ui/dom.js";
import { openDuePicker, openPriorityMenu } from "./pickers.js";
import { openTagPicker } from "./search-picker.js";
import { foldTag } from "./text.js";

/** @typedef {import("./view.js").TaskView} TaskView */

/** @param {TaskView} view */
export function createSelectionBar(view) {
  const number = h("span", {});
  const count = h("span", { class: "selection-count", role: "status" }, number, h("span", { class: "selection-word", text: " selected" }));
  const button = (/** @type {string} */ name, /** @type {string} */ label, /** @type {(anchor: HTMLElement) => void} */ run) => {
    /** @type {HTMLButtonElement} */
    const made = h(
      "button",
      { type: "button", class: "selection-button", "aria-label": label, title: label, on: { click: () => run(made) } },
      icon(name),
      h("span", { class: "selection-label", "aria-hidden": "true", text: label }),
    );
    return made;
  };
  const changed = [
    button("done", "Complete", () => {
      const tasks = view.commands.targets;
      view.commands.complete(tasks, tasks.some((task) => !task.completed));
      view.selection.clear();
    }),
    button("calendar", "Due date", (anchor) =>
      openDuePicker(anchor, {
        due: null,
        zone: view.store.zone,
        onPick: (due) => view.actions.update(view.commands.targets, () => ({ due_date: due })),
      }),
    ),
    button("flag", "Priority", (anchor) =>
      openPriorityMenu(anchor, null, (priority) => view.actions.update(view.commands.targets, () => ({ priority }))),
    ),
    button("tag", "Tags", (anchor) =>
      openTagPicker(anchor, {
        tags: view.store.tags(),
        has: (name) => view.commands.targets.every((task) => task.tags.some((tag) => foldTag(tag) === foldTag(name))),
        onToggle: (name, has) => view.actions.tag(view.commands.targets, name, has),
      }),
    ),
    button("trash", "Delete", () => view.commands.remove(view.commands.targets)),
  ];
  const deleted = [
    button("restore", "Restore", () => view.trash.restore(view.commands.targets, view.actions)),
    button("trash", "Delete permanently", () => void view.commands.erase(view.commands.targets)),
  ];
  const element = h(
    "div",
    { class: "selection-bar", role: "toolbar", "aria-label": "Selected tasks", hidden: true },
    iconButton("close", "End the selection", () => {
      view.selection.clear();
      view.list.focusActive();
    }),
    count,
    h("div", { class: "selection-tools" }, changed, deleted),
  );
  return {
    element,
    /**
     * Open the panel of a field.
     * @param {string} part
     */
    open: (part) => {
      const names = ["", "due", "priority", "tags"];
      changed[names.indexOf(part)]?.click();
    },
    /**
     * @param {number} size
     * @param {boolean} isOn
     */
    show: (size, isOn) => {
      element.hidden = !isOn;
      number.textContent = String(size);
      for (const each of changed) {
        each.hidden = view.isTrash;
        each.disabled = size === 0;
      }
      for (const each of deleted) {
        each.hidden = !view.isTrash;
        each.disabled = size === 0;
      }
    },
  };
}
