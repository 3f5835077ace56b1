/**
 * The menus and panels that change the filter and the order of the list.
 */

import { h, icon } from "../ui/dom.js";
import { openMenu } from "../ui/menu.js";
import { openPopover } from "../ui/popover.js";
import { STATUSES } from "./filter-bar.js";
import { defaultSort, PRIORITIES, writeSort } from "./filters.js";
import { PRIORITY_LABELS } from "./labels.js";
import { openTagPicker } from "./search-picker.js";
import { foldTag } from "./text.js";

/** @typedef {import("./filters.js").Filter} Filter */
/** @typedef {import("./view.js").TaskView} TaskView */
/** @typedef {(changes: Partial<Filter>) => void} Go */

const SORTS = /** @type {[string, string][]} */ ([
  ["position", "By hand"],
  ["due_date", "Due date"],
  ["-priority", "Priority"],
  ["title", "Title"],
  ["-created_at", "Newest first"],
  ["created_at", "Oldest first"],
  ["-updated_at", "Last changed"],
  ["-completed_at", "Last completed"],
]);

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 * @param {Go} go
 */
export function openSort(anchor, view, go) {
  openMenu(anchor, sortItems(view.filter, go), { label: "Sort" });
}

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 * @param {Go} go
 */
export function openStatus(anchor, view, go) {
  openMenu(anchor, statusItems(view.filter, go), { label: "Status" });
}

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 */
export function openMore(anchor, view) {
  openMenu(anchor, moreItems(view), { label: "More" });
}

/**
 * @param {Filter} filter
 * @param {Go} go
 */
function sortItems(filter, go) {
  const usual = writeSort(defaultSort(filter.view, filter.status));
  return SORTS.filter(([sort]) => sort === usual || (sort !== "-completed_at" && (sort !== "position" || filter.view !== "trash"))).map(([sort, text]) => ({
    label: text,
    checked: writeSort(filter.sort) === sort,
    run: () => go({ sort: { field: sort.replace(/^-/, ""), descending: sort.startsWith("-") } }),
  }));
}

/**
 * @param {Filter} filter
 * @param {Go} go
 */
function statusItems(filter, go) {
  return STATUSES.map(([status, text]) => ({
    label: text,
    checked: filter.status === status,
    run: () => go({ status, sort: defaultSort(filter.view, status) }),
  }));
}

/** @param {TaskView} view */
function moreItems(view) {
  const rows = view.list.tasks;
  return [
    { label: "Select tasks", icon: "circle-check", shortcut: "x", run: () => view.selection.start() },
    { label: "Select all", icon: "done", shortcut: "Ctrl A", disabled: rows.length === 0, run: () => view.selection.selectAll(rows.map((row) => row.key)) },
    { label: "Keyboard shortcuts", icon: "keyboard", shortcut: "?", run: () => void view.showShortcuts() },
  ];
}

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 * @param {Go} go
 */
export function openPriorities(anchor, view, go) {
  const boxes = PRIORITIES.toReversed().map((name) =>
    h(
      "label",
      { class: "menu-item picker-box" },
      icon("flag"),
      h("span", { text: PRIORITY_LABELS[name] }),
      h("input", {
        type: "checkbox",
        checked: view.filter.priority.includes(name),
        on: {
          change: () => {
            const has = view.filter.priority.includes(name);
            go({ priority: PRIORITIES.filter((each) => (each === name ? !has : view.filter.priority.includes(each))) });
          },
        },
      }),
    ),
  );
  openPopover(anchor, h("div", { class: "picker-list" }, boxes), { label: "Priority", className: "picker" });
}

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 * @param {Go} go
 */
export function openTags(anchor, view, go) {
  const others = (/** @type {string} */ name) => view.filter.tags.filter((tag) => foldTag(tag) !== foldTag(name));
  openTagPicker(anchor, {
    tags: view.store.tags(),
    has: (name) => others(name).length < view.filter.tags.length,
    onToggle: (name, has) => go({ tags: has ? [...view.filter.tags, name] : others(name) }),
    canCreate: false,
  });
}

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 * @param {Go} go
 */
export function openDue(anchor, { filter }, go) {
  const none = { overdue: null, hasDue: null, dueAfter: "", dueBefore: "" };
  const choose = (/** @type {Partial<Filter>} */ changes) => () => {
    popover.close();
    go({ ...none, ...changes });
  };
  const line = (/** @type {string} */ text, /** @type {Partial<Filter>} */ changes) =>
    h("button", { type: "button", class: "menu-item", on: { click: choose(changes) } }, h("span", { text }));
  const day = (/** @type {string} */ text, /** @type {"dueAfter" | "dueBefore"} */ name) =>
    h(
      "label",
      { class: "picker-field" },
      h("span", { class: "label", text }),
      h("input", { type: "date", class: "input", value: filter[name].slice(0, 10), on: { change: (event) => go({ [name]: /** @type {HTMLInputElement} */ (event.target).value }) } }),
    );
  const popover = openPopover(
    anchor,
    [
      h("div", { class: "picker-list" }, line("Any", {}), line("Overdue", { overdue: true }), line("With a due date", { hasDue: true }), line("No due date", { hasDue: false })),
      h("div", { class: "picker-row" }, day("From", "dueAfter"), day("Before", "dueBefore")),
    ],
    { label: "Due", className: "picker" },
  );
}
