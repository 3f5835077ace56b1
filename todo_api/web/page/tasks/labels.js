/**
 * What views and priorities are called, and what is in the place of an empty list.
 */

import { h, icon } from "../ui/dom.js";
import { isNarrowed } from "./filters.js";

/** @typedef {import("./filters.js").Filter} Filter */
/** @typedef {{ icon: string, title: string, text: string, adds?: boolean }} State */

const BARS = 8;

export const PRIORITY_LABELS = /** @type {const} */ ({
  urgent: "Urgent",
  high: "High",
  medium: "Medium",
  low: "Low",
  none: "None",
});

/**
 * Return the heading of a view.
 * @param {Filter} filter
 */
export function titleOf(filter) {
  if (filter.search) {
    return filter.view === "trash" ? "Search in the trash" : "Search";
  }
  if (filter.view !== "all") {
    return { today: "Today", upcoming: "Upcoming", trash: "Trash" }[filter.view];
  }
  if (filter.tags.length === 1 && filter.tags[0]) {
    return filter.tags[0];
  }
  if (filter.overdue) {
    return "Overdue";
  }
  return filter.status === "completed" ? "Completed" : "All tasks";
}

/**
 * Return what the field that adds a task says.
 * @param {Filter} filter
 */
export function addLabel(filter) {
  if (filter.view === "today") {
    return "Add a task for today";
  }
  return filter.tags.length === 1 ? `Add a task to ${filter.tags[0]}` : "Add a task";
}

/** Create the element in the place of the list. */
export function createEmptyState() {
  const element = h("div", { class: "task-state" });
  return {
    element,
    /** @param {State | "loading" | null} state null if the list has rows */
    show: (state) => {
      const signature = JSON.stringify(state);
      if (element.dataset.signature !== signature) {
        element.dataset.signature = signature;
        element.replaceChildren(...(state === null ? [] : [state === "loading" ? skeleton() : describe(state)]));
      }
    },
  };
}

function skeleton() {
  const bars = Array.from({ length: BARS }, () => h("span"));
  return h("div", { class: "skeleton", role: "status", "aria-label": "Loading" }, bars);
}

/** @param {State} state */
function describe({ icon: name, title, text, adds }) {
  const shortcut = adds && h("p", { class: "state-shortcut" }, "Press ", h("kbd", { text: "n" }), " to add a task.");
  return h("div", { class: "state" }, icon(name), h("h2", { text: title }), h("p", { text }), shortcut);
}

/**
 * Return what an empty view says.
 * @param {Filter} filter
 * @returns {State}
 */
export function emptyState(filter) {
  if (filter.search) {
    return { icon: "search", title: "Nothing found", text: "Titles and notes are searched. Try fewer letters.", adds: false };
  }
  if (filter.view === "trash") {
    return { icon: "trash", title: "The trash is empty", text: "Deleted tasks stay here for 30 days.", adds: false };
  }
  if (filter.status === "completed") {
    return { icon: "done", title: "Nothing completed yet", text: "Completed tasks are listed here, the latest first.", adds: false };
  }
  if (isNarrowed(filter)) {
    return { icon: "filter", title: "No task matches", text: "Change the filter to see more tasks.", adds: false };
  }
  if (filter.view === "today") {
    return { icon: "today", title: "Nothing is due today", text: "Tasks that are due today or overdue appear here.", adds: true };
  }
  if (filter.view === "upcoming") {
    return { icon: "upcoming", title: "Nothing is planned", text: "Tasks with a later due date appear here, day by day.", adds: true };
  }
  return { icon: "inbox", title: "No open tasks", text: "Add the first one with a title such as “Call Ada tomorrow 9am”.", adds: true };
}
