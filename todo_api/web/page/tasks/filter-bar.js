/**
 * Filters and the order of the list. Each choice is an address.
 */

import { h, icon, iconButton } from "../ui/dom.js";
import { filterParams, isNarrowed, PRIORITIES } from "./filters.js";
import { PRIORITY_LABELS } from "./labels.js";

/** @typedef {import("./filters.js").Filter} Filter */
/** @typedef {import("./view.js").TaskView} TaskView */

export const STATUSES = /** @type {[Filter["status"], string][]} */ ([
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
  /** @typedef {"openSort" | "openMore" | "openStatus" | "openPriorities" | "openTags" | "openDue"} Opener */
  const opener = (/** @type {Opener} */ name) => async (/** @type {Event} */ event) => {
    const anchor = /** @type {HTMLElement} */ (event.currentTarget);
    const panels = await view.panels;
    panels[name](anchor, view, go);
  };
  const popup = { "aria-haspopup": "menu", "aria-expanded": "false" };
  const toggle = iconButton("filter", "Filter", () => setShown(!isShown), { "aria-expanded": "false", "aria-controls": "filter-bar" });
  const sort = iconButton("sort", "Sort", opener("openSort"), popup);
  const more = iconButton("more", "More", opener("openMore"), popup);
  const empty = h("button", { type: "button", class: "button button-quiet danger", text: "Empty trash", on: { click: () => void view.commands.erase(view.trash.tasks) } });
  const status = chip("done", opener("openStatus"), "menu");
  const priority = chip("flag", opener("openPriorities"), "dialog");
  const tags = chip("tag", opener("openTags"), "dialog");
  const due = chip("calendar", opener("openDue"), "dialog");
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
    empty.hidden = !isTrash || view.trash.tasks.length === 0;
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
 * @param {(event: Event) => void} open
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
