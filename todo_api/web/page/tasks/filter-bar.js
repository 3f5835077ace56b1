/**
 * Filters and the order of the list. Each choice is an address.
 */

import { h, icon, iconButton } from "../ui/dom.js";
import { openMenu } from "../ui/menu.js";
import { openPopover } from "../ui/popover.js";
import { defaultSort, filterParams, isNarrowed, PRIORITIES, writeSort } from "./filters.js";
import { PRIORITY_LABELS } from "./pickers.js";
import { openTagPicker } from "./search-picker.js";
import { foldTag } from "./text.js";

/** @typedef {import("./filters.js").Filter} Filter */
/** @typedef {import("./view.js").TaskView} TaskView */

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
const STATUSES = /** @type {[Filter["status"], string][]} */ ([
  ["pending", "Open"],
  ["completed", "Completed"],
  ["all", "Open and completed"],
]);

/** @param {TaskView} view */
export function createFilterBar(view) {
  let isShown = false;
  const go = (/** @type {Partial<Filter>} */ changes) => {
    const { router } = view.parts;
    router.go(router.href(filterParams({ ...view.filter, ...changes })));
  };
  const toggle = iconButton("filter", "Filter", () => setShown(!isShown), { "aria-expanded": "false", "aria-controls": "filter-bar" });
  const sort = iconButton("sort", "Sort", () => openMenu(sort, sortItems(view.filter, go), { label: "Sort" }), { "aria-haspopup": "menu", "aria-expanded": "false" });
  const more = iconButton("more", "More", () => openMenu(more, moreItems(view), { label: "More" }), { "aria-haspopup": "menu", "aria-expanded": "false" });
  const empty = h("button", { type: "button", class: "button button-quiet danger", text: "Empty trash", on: { click: () => void view.trash.empty() } });
  const status = chip("done", () => openMenu(status, statusItems(view.filter, go), { label: "Status" }), "menu");
  const priority = chip("flag", () => openPriorities(priority, view, go), "dialog");
  const tags = chip("tag", () => openTags(tags, view, go), "dialog");
  const due = chip("calendar", () => openDue(due, view.filter, go), "dialog");
  const clear = h("a", { class: "chip", text: "Clear" });
  const element = h("div", { class: "filter-bar", id: "filter-bar", role: "group", "aria-label": "Filter", hidden: true }, status, priority, tags, due, clear);

  /** @param {boolean} shown */
  function setShown(shown) {
    isShown = shown;
    element.hidden = !shown;
    toggle.setAttribute("aria-expanded", String(shown));
  }

  /** @param {Filter} filter */
  function show(filter) {
    const isTrash = filter.view === "trash";
    const isPlainTag = filter.tags.length === 1;
    const narrowed = isNarrowed({ ...filter, search: "", ...(isPlainTag ? { tags: [] } : {}) });
    setShown(isShown || narrowed || (filter.status === "all" && !isTrash));
    empty.hidden = !isTrash || view.trash.size === 0;
    more.hidden = isTrash;
    label(status, STATUSES.find(([name]) => name === filter.status)?.[1] ?? "", filter.status !== "pending" && !isTrash);
    label(priority, filter.priority.length > 0 ? filter.priority.map(nameOf).join(", ") : "Priority", filter.priority.length > 0);
    label(tags, filter.tags.length > 0 ? filter.tags.join(", ") : "Tags", filter.tags.length > 0);
    label(due, dueLabel(filter), dueLabel(filter) !== "Due");
    clear.href = view.parts.router.href(filter.view === "all" ? {} : { view: filter.view });
    clear.hidden = !isNarrowed(filter) && (isTrash || filter.status === "pending");
  }

  return { element, tools: [empty, toggle, sort, more], show };
}

/**
 * @param {string} name of the icon
 * @param {() => void} open
 * @param {string} popup
 */
function chip(name, open, popup) {
  return h(
    "button",
    { type: "button", class: "chip", "aria-haspopup": popup, "aria-expanded": "false", on: { click: open } },
    icon(name),
    h("span", { class: "truncate", dir: "auto" }),
    icon("chevron-down"),
  );
}

/**
 * @param {HTMLElement} button
 * @param {string} text
 * @param {boolean} isSet
 */
function label(button, text, isSet) {
  const span = button.querySelector("span");
  if (span) {
    span.textContent = text;
  }
  button.classList.toggle("chip-set", isSet);
}

/** @param {string} priority */
function nameOf(priority) {
  const known = PRIORITIES.find((name) => name === priority);
  return known ? PRIORITY_LABELS[known] : priority;
}

/** @param {Filter} filter */
function dueLabel(filter) {
  if (filter.overdue) {
    return "Overdue";
  }
  if (filter.hasDue !== null) {
    return filter.hasDue ? "With a due date" : "No due date";
  }
  const { dueAfter, dueBefore } = filter;
  return dueAfter && dueBefore ? `${dueAfter} – ${dueBefore}` : dueAfter ? `From ${dueAfter}` : dueBefore ? `Before ${dueBefore}` : "Due";
}

/**
 * @param {Filter} filter
 * @param {(changes: Partial<Filter>) => void} go
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
 * @param {(changes: Partial<Filter>) => void} go
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
    { label: "Keyboard shortcuts", icon: "keyboard", shortcut: "?", run: () => view.showShortcuts() },
  ];
}

/**
 * @param {HTMLElement} anchor
 * @param {TaskView} view
 * @param {(changes: Partial<Filter>) => void} go
 */
function openPriorities(anchor, view, go) {
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
 * @param {(changes: Partial<Filter>) => void} go
 */
function openTags(anchor, view, go) {
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
 * @param {Filter} filter
 * @param {(changes: Partial<Filter>) => void} go
 */
function openDue(anchor, filter, go) {
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
