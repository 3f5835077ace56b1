/**
 * What is in the place of a list without rows: that it is loading, empty, or not available.
 */

import { h, icon } from "../ui/dom.js";

const BARS = 8;

/** @typedef {{ icon: string, title: string, text: string, adds?: boolean }} State */

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
