/**
 * The rows of the list: a task, or the heading of a group.
 */

import { h, icon, iconButton } from "../ui/dom.js";
import { dueDay, formatDue, formatTime, isAllDay } from "./dates.js";
import { isOverdue } from "./filters.js";
import { describeRule } from "./recurrence-text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./store.js").TaskRow} TaskRow */

/**
 * @typedef {object} RowState
 * @property {boolean} isActive whether the keyboard is on this row
 * @property {boolean} isSelected
 * @property {boolean} isSelecting whether rows have boxes to select them
 * @property {boolean} isLeaving
 * @property {boolean} isTrash
 * @property {string} zone
 * @property {string} today
 * @property {(task: LocalTask) => string} href
 */

export const ROW_HEIGHT = 40;
const META_HEIGHT = 17;
const HEADING_HEIGHT = 56;

/**
 * Return what decides the height of most rows.
 * @param {Row} row
 */
export function rowKind(row) {
  return row.kind === "task" && hasMeta(row) ? "task with details" : row.kind;
}

/**
 * Estimate the height of a row before it is shown.
 * @param {Row} row
 */
export function estimateHeight(row) {
  if (row.kind === "heading") {
    return HEADING_HEIGHT;
  }
  return ROW_HEIGHT + (hasMeta(row) ? META_HEIGHT : 0);
}

/**
 * Create the element of a row, without content.
 * @param {Row} row
 */
export function createRow(row) {
  return h("div", { class: row.kind === "task" ? "task-row" : "task-heading", role: "listitem", dataset: { key: row.key } });
}

/**
 * Show a heading.
 * @param {HTMLElement} element
 * @param {import("./store.js").HeadingRow} row
 */
export function updateHeading(element, row) {
  const signature = `${row.text} ${row.count}`;
  if (element.dataset.signature === signature) {
    return;
  }
  element.dataset.signature = signature;
  element.dataset.tone = row.tone;
  element.replaceChildren(h("h2", {}, row.text, " ", h("span", { class: "task-count", text: String(row.count) })));
}

/**
 * Show a task. Nothing is done if nothing has changed.
 * @param {HTMLElement} element
 * @param {TaskRow} row
 * @param {RowState} state
 */
export function updateTask(element, row, state) {
  const { task } = row;
  const overdue = isOverdue(task, state.zone, Date.now());
  const { isActive, ...shown } = state;
  const signature = JSON.stringify([task, row.level, row.isExpanded, row.progress, row.parent, overdue, shown]);
  if (element.dataset.signature !== signature) {
    element.dataset.signature = signature;
    fill(element, row, state, overdue);
  }
  // A click that gives the keyboard to a row must find what it was on.
  element.tabIndex = isActive ? 0 : -1;
  for (const control of element.querySelectorAll("a, button")) {
    /** @type {HTMLElement} */ (control).tabIndex = isActive ? 0 : -1;
  }
}

/**
 * @param {HTMLElement} element
 * @param {TaskRow} row
 * @param {RowState} state
 * @param {boolean} overdue
 */
function fill(element, row, state, overdue) {
  const { task } = row;
  const focused = element.contains(document.activeElement) ? partOf(document.activeElement) : "";
  element.dataset.priority = task.priority;
  element.setAttribute("aria-level", String(row.level));
  element.classList.toggle("is-completed", task.completed);
  element.classList.toggle("is-selected", state.isSelected);
  element.classList.toggle("is-leaving", state.isLeaving);
  element.replaceChildren(
    ...(state.isTrash ? [] : [dragHandle(), state.isSelecting ? selectBox(task, state) : checkbox(task)]),
    h("div", { class: "task-body" }, title(task, state), hasMeta(row) && meta(row, state, overdue)),
    h("div", { class: "task-tools" }, state.isTrash ? trashTools(task) : tools(row)),
  );
  if (focused) {
    const part = element.querySelector(`[data-action="${focused}"]`);
    (part instanceof HTMLElement ? part : element).focus({ preventScroll: true });
  }
}

/** @param {Element | null} element */
function partOf(element) {
  return element instanceof HTMLElement ? (element.dataset.action ?? "") : "";
}

/**
 * Return whether the due date is shown: not if it is the day of the heading.
 * @param {TaskRow} row
 */
function showsDue({ task, day }) {
  return task.due_date !== null && !(day !== null && isAllDay(task.due_date));
}

/** @param {TaskRow} row */
function hasMeta(row) {
  const { task, progress, parent } = row;
  return (
    showsDue(row) ||
    task.recurrence_rule !== null ||
    task.tags.length > 0 ||
    task.reminders.length > 0 ||
    task.description !== null ||
    progress !== null ||
    parent !== null
  );
}

function dragHandle() {
  return h("span", { class: "task-handle", "aria-hidden": "true", dataset: { action: "drag" } });
}

/**
 * The round box that completes a task.
 * @param {LocalTask} task
 */
function checkbox(task) {
  return h(
    "button",
    {
      type: "button",
      class: "task-check",
      role: "checkbox",
      "aria-checked": String(task.completed),
      "aria-label": `Complete ${task.title}`,
      dataset: { action: "complete", priority: task.priority },
    },
    h("span", { class: "task-ring" }),
  );
}

/**
 * A place for the round box, which is made again only when the task has changed.
 * @param {string} className
 * @param {(task: LocalTask) => void} onClick
 */
export function createCheck(className, onClick) {
  const element = h("div", { class: className });
  return {
    element,
    /** @param {LocalTask} task */
    update: (task) => {
      const signature = JSON.stringify([task.completed, task.priority, task.title]);
      if (element.dataset.signature === signature) {
        return;
      }
      const hadFocus = element.contains(document.activeElement);
      element.dataset.signature = signature;
      const button = checkbox(task);
      button.addEventListener("click", () => onClick(task));
      element.replaceChildren(button);
      if (hadFocus) {
        button.focus();
      }
    },
  };
}

/**
 * @param {LocalTask} task
 * @param {RowState} state
 */
function selectBox(task, state) {
  return h(
    "button",
    {
      type: "button",
      class: "task-check task-select",
      role: "checkbox",
      "aria-checked": String(state.isSelected),
      "aria-label": `Select ${task.title}`,
      dataset: { action: "select" },
    },
    h("span", { class: "task-ring" }),
  );
}

/**
 * @param {LocalTask} task
 * @param {RowState} state
 */
function title(task, state) {
  const hidden = [
    task.priority === "none" || task.priority === "medium" ? "" : `${task.priority} priority`,
    state.isSelected ? "selected" : "",
  ].filter((text) => text !== "");
  const spoken = hidden.length > 0 && h("span", { class: "visually-hidden", text: `, ${hidden.join(", ")}` });
  const properties = { class: "task-title", dir: "auto", dataset: { action: "open" } };
  if (state.isTrash) {
    return h("span", properties, task.title);
  }
  return h("a", { ...properties, href: state.href(task) }, task.title, spoken);
}

/**
 * @param {TaskRow} row
 * @param {RowState} state
 * @param {boolean} overdue
 */
function meta(row, state, overdue) {
  const { task, progress, parent } = row;
  const named = (/** @type {string} */ name, /** @type {string} */ label) =>
    h("span", { class: "meta-icon" }, icon(name, "icon-small"), h("span", { class: "visually-hidden", text: label }));
  return h(
    "div",
    { class: "task-meta" },
    parent !== null && h("span", { class: "meta-item" }, icon("indent", "icon-small"), h("span", { class: "meta-text", dir: "auto", text: parent })),
    showsDue(row) && due(task.due_date ?? "", row, state, overdue),
    task.recurrence_rule !== null && named("repeat", `Repeats: ${describeRule(task.recurrence_rule, task.repeat_from)}`),
    progress !== null &&
      h(
        "span",
        { class: "meta-item" },
        icon("subtasks", "icon-small"),
        h("span", { "aria-hidden": "true", text: `${progress.done}/${progress.total}` }),
        h("span", { class: "visually-hidden", text: `${progress.done} of ${progress.total} subtasks completed` }),
      ),
    task.reminders.length > 0 && named("bell", "Has a reminder"),
    task.description !== null && named("note", "Has notes"),
    task.tags.map((tag) => h("span", { class: "meta-tag", dir: "auto", text: tag })),
  );
}

/**
 * @param {string} date
 * @param {TaskRow} row
 * @param {RowState} state
 * @param {boolean} overdue
 */
function due(date, row, state, overdue) {
  const isToday = dueDay(date, state.zone) === state.today;
  return h(
    "span",
    { class: "meta-item meta-due", dataset: { tone: overdue ? "danger" : isToday ? "accent" : "" } },
    icon(row.day === null ? "calendar" : "clock", "icon-small"),
    overdue && h("span", { class: "visually-hidden", text: "Overdue, " }),
    h("time", { dateTime: date, text: row.day === null ? formatDue(date, state.zone, Date.now()) : formatTime(Date.parse(date), state.zone) }),
  );
}

/**
 * @param {TaskRow} row
 */
function tools({ task, isExpanded }) {
  const label = isExpanded ? `Hide subtasks of ${task.title}` : `Show subtasks of ${task.title}`;
  return [
    isExpanded !== null &&
      iconButton("chevron-down", label, () => undefined, {
        class: "icon-button task-fold",
          "aria-expanded": String(isExpanded),
        dataset: { action: "fold" },
      }),
    h("button", {
      type: "button",
      class: "icon-button task-more",
      title: "Actions",
      "aria-label": `Actions for ${task.title}`,
      "aria-haspopup": "menu",
      dataset: { action: "menu" },
    }),
  ];
}

/** @param {LocalTask} task */
function trashTools(task) {
  return [
    iconButton("restore", `Restore ${task.title}`, () => undefined, { dataset: { action: "restore" } }),
    iconButton("trash", `Delete ${task.title} permanently`, () => undefined, { dataset: { action: "erase" } }),
  ];
}
