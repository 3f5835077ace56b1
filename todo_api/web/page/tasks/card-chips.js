/**
 * The row of chips of an open task. Each one shows a field, and opens the panel that changes it.
 */

import { h, icon } from "../ui/dom.js";
import { dueDay, formatDue } from "./dates.js";
import { isOverdue } from "./filters.js";
import { PRIORITY_LABELS } from "./labels.js";
import { openDuePicker, openPriorityMenu } from "./pickers.js";
import { describeRule } from "./recurrence-text.js";
import { describeReminder, openReminders } from "./reminders-picker.js";
import { openRepeatPicker } from "./repeat-picker.js";
import { openParentPicker, openTagPicker } from "./search-picker.js";
import { foldTag } from "./text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("../../client/tasks.js").TaskChanges} TaskChanges */
/** @typedef {import("./view.js").TaskView} TaskView */

/**
 * @typedef {object} Chip
 * @property {string} name
 * @property {string} icon
 * @property {(task: LocalTask) => string} label
 * @property {(task: LocalTask) => boolean} isSet
 * @property {(anchor: HTMLElement) => void} open
 */

/**
 * @param {TaskView} view
 * @param {() => LocalTask} read the task as it is now
 */
export function createChips(view, read) {
  const { store, actions } = view;
  // A panel changes the task several times before the card is shown again.
  const current = () => store.get(read().id) ?? read();
  const change = (/** @type {TaskChanges} */ changes) => actions.update([current()], () => changes, { isShown: false });
  /** @type {Chip[]} */
  const chips = [
    {
      name: "due",
      icon: "calendar",
      label: (task) => (task.due_date === null ? "Due date" : formatDue(task.due_date, store.zone, Date.now())),
      isSet: (task) => task.due_date !== null,
      open: (anchor) => openDuePicker(anchor, { due: read().due_date, zone: store.zone, onPick: (due) => change({ due_date: due }) }),
    },
    {
      name: "repeat",
      icon: "repeat",
      label: (task) => (task.recurrence_rule === null ? "Repeat" : describeRule(task.recurrence_rule, task.repeat_from)),
      isSet: (task) => task.recurrence_rule !== null,
      open: (anchor) => openRepeatPicker(anchor, read(), store.zone, change),
    },
    {
      name: "priority",
      icon: "flag",
      label: (task) => (task.priority === "none" ? "Priority" : `${PRIORITY_LABELS[task.priority]} priority`),
      isSet: (task) => task.priority === "high" || task.priority === "urgent",
      open: (anchor) => openPriorityMenu(anchor, read().priority, (priority) => change({ priority })),
    },
    {
      name: "tags",
      icon: "tag",
      label: (task) => (task.tags.length === 0 ? "Tags" : task.tags.join(", ")),
      isSet: (task) => task.tags.length > 0,
      open: (anchor) =>
        openTagPicker(anchor, {
          tags: store.tags(),
          has: (name) => current().tags.some((tag) => foldTag(tag) === foldTag(name)),
          onToggle: (name, has) => actions.tag([current()], name, has, { isShown: false }),
        }),
    },
    {
      name: "reminders",
      icon: "bell",
      label: (task) => reminderLabel(task, store.zone),
      isSet: (task) => task.reminders.length > 0,
      open: (anchor) =>
        openReminders(anchor, {
          task: current,
          zone: store.zone,
          onChange: (reminders) => change(/** @type {TaskChanges} */ ({ reminders })),
        }),
    },
    {
      name: "parent",
      icon: "indent",
      label: (task) => (task.parent_id === null ? "Parent" : (store.get(task.parent_id)?.title ?? "Parent")),
      isSet: (task) => task.parent_id !== null,
      open: (anchor) =>
        openParentPicker(anchor, {
          task: read(),
          candidates: candidates(store, read()),
          onPick: (id) => actions.move(read(), { parent_id: id }, id === null ? "Moved out of its parent." : "Moved under its new parent."),
        }),
    },
  ];
  const buttons = new Map(chips.map((chip) => [chip.name, chipButton(chip)]));
  const element = h("div", { class: "card-chips", role: "group", "aria-label": "Fields" }, [...buttons.values()]);

  function update() {
    const task = read();
    for (const chip of chips) {
      const button = buttons.get(chip.name);
      if (button) {
        show(button, chip, task);
      }
    }
    const due = buttons.get("due");
    if (due) {
      const isToday = task.due_date !== null && dueDay(task.due_date, store.zone) === store.today;
      due.dataset.tone = isOverdue(task, store.zone, Date.now()) ? "danger" : isToday ? "accent" : "";
    }
    const parent = buttons.get("parent");
    if (parent) {
      parent.hidden = store.children(task.id).length > 0;
    }
  }

  update();
  return {
    element,
    update,
    /**
     * Open the panel of a field, and return whether there is one.
     * @param {string} name
     */
    open: (name) => {
      const [chip, button] = [chips.find((each) => each.name === name), buttons.get(name)];
      if (chip && button) {
        button.focus({ preventScroll: true });
        chip.open(button);
      }
      return chip !== undefined;
    },
  };
}

/** @param {Chip} chip */
function chipButton(chip) {
  /** @type {HTMLButtonElement} */
  const button = h(
    "button",
    { type: "button", class: "chip", "aria-haspopup": "dialog", "aria-expanded": "false", dataset: { field: chip.name }, on: { click: () => chip.open(button) } },
    icon(chip.icon),
    h("span", { class: "truncate", dir: "auto" }),
  );
  return button;
}

/**
 * @param {HTMLElement} button
 * @param {Chip} chip
 * @param {LocalTask} task
 */
function show(button, chip, task) {
  const label = button.querySelector("span");
  if (label) {
    label.textContent = chip.label(task);
  }
  button.classList.toggle("chip-set", chip.isSet(task));
}

/**
 * @param {LocalTask} task
 * @param {string} zone
 */
function reminderLabel({ reminders, due_date: due }, zone) {
  const [first] = reminders;
  if (!first) {
    return "Reminder";
  }
  return reminders.length === 1 ? describeReminder(first, due, zone) : `${reminders.length} reminders`;
}

/**
 * Return the tasks under which this one can be: there is one level.
 * @param {import("./store.js").TaskStore} store
 * @param {LocalTask} task
 */
function candidates(store, task) {
  return store
    .sorted({ field: "position", descending: false })
    .filter((each) => each.parent_id === null && each.id !== task.id && !each.completed);
}
