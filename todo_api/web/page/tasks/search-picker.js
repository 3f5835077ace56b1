/**
 * Panels with a field that narrows a list: tags, and the parent of a task.
 */

import { h, icon } from "../ui/dom.js";
import { openPopover } from "../ui/popover.js";
import { choice } from "./pickers.js";
import { fold, foldTag } from "./text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */

const MOST = 50;
const LONGEST_TAG = 50;

/**
 * Let the user set the tags of one or more tasks.
 * @param {Element} anchor
 * @param {object} options
 * @param {readonly { name: string }[]} options.tags all that there are
 * @param {(name: string) => boolean} options.has whether all of the tasks have it
 * @param {(name: string, has: boolean) => void} options.onToggle
 * @param {boolean} [options.canCreate]
 */
export function openTagPicker(anchor, { tags, has, onToggle, canCreate = true }) {
  /** @type {string[]} tags that were made here */
  const made = [];
  const list = h("div", { class: "picker-list" });
  const input = searchField(canCreate ? "Find or create a tag" : "Find a tag", () => show(), () => {
    const name = input.value.trim();
    const chosen = exact() ?? (canCreate ? name : matching()[0]);
    if (name !== "" && chosen) {
      toggle(chosen);
    }
  });
  input.maxLength = LONGEST_TAG;
  const names = () => [...tags.map((tag) => tag.name), ...made];
  const matching = () => names().filter((name) => fold(name).includes(fold(input.value.trim()))).slice(0, MOST);
  const exact = () => names().find((name) => foldTag(name) === foldTag(input.value.trim()));
  const isNew = () => canCreate && input.value.trim() !== "" && exact() === undefined;

  /** @param {string} name */
  function toggle(name) {
    const isSet = !has(name);
    if (!names().some((each) => foldTag(each) === foldTag(name))) {
      made.push(name);
    }
    onToggle(name, isSet);
    input.value = "";
    show();
    input.focus();
  }

  function show() {
    const name = input.value.trim();
    list.replaceChildren(
      ...matching().map((tag) => box(tag, has(tag), () => toggle(tag))),
      ...(isNew() ? [choice("plus", `Create “${name}”`, "", () => toggle(name))] : []),
      ...(names().length === 0 && name === "" ? [h("p", { class: "picker-preview", text: canCreate ? "Type a name to create the first tag." : "There are no tags yet." })] : []),
    );
  }

  show();
  openPopover(anchor, [h("div", { class: "picker-field" }, input), list], { label: "Tags", className: "picker" });
}

/**
 * Let the user choose the parent of a task.
 * @param {Element} anchor
 * @param {{ task: LocalTask, candidates: readonly LocalTask[], onPick: (parent: number | null) => void }} options
 */
export function openParentPicker(anchor, { task, candidates, onPick }) {
  const list = h("div", { class: "picker-list" });
  const pick = (/** @type {number | null} */ id) => {
    popover.close();
    onPick(id);
  };
  const input = searchField("Find the parent", () => show(), () => {
    const [first] = matching();
    if (first) {
      pick(first.id);
    }
  });
  const matching = () => candidates.filter((each) => fold(each.title).includes(fold(input.value))).slice(0, MOST);

  function show() {
    const found = matching().map((each) => choice("inbox", each.title, "", () => pick(each.id), { isChosen: each.id === task.parent_id }));
    list.replaceChildren(
      ...(task.parent_id === null ? [] : [choice("close", "No parent", "", () => pick(null))]),
      ...found,
      ...(found.length === 0 ? [h("p", { class: "picker-preview", text: "No task matches." })] : []),
    );
  }

  show();
  const popover = openPopover(anchor, [h("div", { class: "picker-field" }, input), list], { label: "Parent", className: "picker" });
}

/**
 * @param {string} label
 * @param {() => void} onInput
 * @param {() => void} onEnter
 */
function searchField(label, onInput, onEnter) {
  return h("input", {
    type: "text",
    class: "input",
    placeholder: label,
    "aria-label": label,
    autocomplete: "off",
    dir: "auto",
    on: {
      input: onInput,
      keydown: (event) => {
        if (event.key === "Enter" && !event.isComposing) {
          event.preventDefault();
          onEnter();
        }
      },
    },
  });
}

/**
 * @param {string} label
 * @param {boolean} checked
 * @param {() => void} onChange
 */
function box(label, checked, onChange) {
  return h(
    "label",
    { class: "menu-item picker-box" },
    icon("tag"),
    h("span", { class: "truncate", text: label, dir: "auto" }),
    h("input", { type: "checkbox", checked, on: { change: onChange } }),
  );
}
