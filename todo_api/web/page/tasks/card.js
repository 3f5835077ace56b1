/**
 * An open task: a card in the place of its row, in which every field is edited. It has no button to
 * save: what is typed is saved after a moment, and when the field is left.
 */

import { h, icon, iconButton } from "../ui/dom.js";
import { createChips } from "./card-chips.js";
import { createSubtasks } from "./card-subtasks.js";
import { formatTime, localTime, nameDay } from "./dates.js";
import { createCheck } from "./row.js";
import { createTextField } from "./text-field.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("../../client/tasks.js").TaskChanges} TaskChanges */
/** @typedef {import("./view.js").TaskView} TaskView */

/**
 * @param {TaskView} view
 * @param {LocalTask} opened
 */
export function createCard(view, opened) {
  let task = opened;
  const { actions } = view;
  const close = () => view.opened.close({ focuses: true });
  const title = createTextField({
    label: "Title",
    className: "card-title",
    maxLength: 200,
    isRequired: true,
    read: () => task.title,
    save: (text) => actions.save(task, { title: text }),
    keep: (before) => actions.keep(task, { title: before }),
    onEnter: close,
  });
  const notes = createTextField({
    label: "Notes",
    className: "card-notes",
    maxLength: 1000,
    isRequired: false,
    read: () => task.description ?? "",
    save: (text) => actions.save(task, { description: text === "" ? null : text }),
    keep: (before) => actions.keep(task, { description: before === "" ? null : before }),
  });
  const check = createCheck("card-check", () => view.commands.complete([task], !task.completed));
  const notice = h("div", { class: "card-notice", role: "status" });
  const chips = createChips(view, () => task);
  const subtasks = createSubtasks(view, () => task);
  const details = h("p", { class: "card-details" });
  const element = h(
    "div",
    { class: "task-card", role: "group", "aria-label": `Edit ${task.title}`, on: { keydown: (event) => onKey(event) } },
    notice,
    h("div", { class: "card-head" }, check.element, title.element, iconButton("close", "Close the task", close)),
    h("div", { class: "card-body" }, notes.element, chips.element, subtasks.element),
    h(
      "footer",
      { class: "card-foot" },
      details,
      iconButton("trash", "Delete the task", () => {
        view.opened.close({ focuses: true });
        view.commands.remove([task]);
      }),
    ),
  );

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const isSubmit = event.key === "Enter" && (event.metaKey || event.ctrlKey);
    if ((event.key === "Escape" || isSubmit) && !event.defaultPrevented) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  }

  /** @param {LocalTask} changed */
  function update(changed) {
    task = changed;
    title.update();
    notes.update();
    chips.update();
    subtasks.update();
    check.update(task);
    element.dataset.priority = task.priority;
    details.textContent = describe(task, view.store.zone);
  }

  /**
   * Show that the service has refused a change, with its reason.
   * @param {string} text
   */
  function showRefusal(text) {
    showNotice("warning", text, [["Close", () => undefined]]);
  }

  /**
   * Let the user decide between two changes of the same field.
   * @param {() => void} retry writes the change of the user again
   */
  function showConflict(retry) {
    showNotice("info", "This task was changed elsewhere while you edited it.", [
      ["Keep theirs", () => undefined],
      ["Use mine", retry],
    ]);
  }

  /**
   * @param {string} name of the icon
   * @param {string} text
   * @param {[string, () => void][]} buttons
   */
  function showNotice(name, text, buttons) {
    const choose = (/** @type {() => void} */ run) => {
      notice.replaceChildren();
      run();
      title.focus();
    };
    notice.replaceChildren(
      h(
        "div",
        { class: name === "warning" ? "notice notice-warning" : "notice" },
        icon(name),
        h("p", { class: "grow", text, dir: "auto" }),
        buttons.map(([label, run]) => h("button", { type: "button", class: "link-button", text: label, on: { click: () => choose(run) } })),
      ),
    );
  }

  update(task);
  return {
    element,
    update,
    showRefusal,
    showConflict,
    isFor: (/** @type {number} */ id) => task.id === id,
    /** Save what was typed. */
    close: () => {
      title.flush();
      notes.flush();
    },
    /** @param {string} part */
    focus: (part) => {
      if (!chips.open(part)) {
        title.focus(part === "title");
      }
    },
  };
}

/**
 * @param {LocalTask} task
 * @param {string} zone
 */
function describe(task, zone) {
  const now = localTime(Date.now(), zone).day;
  const moment = (/** @type {string} */ text) => {
    const at = Date.parse(text);
    const day = nameDay(localTime(at, zone).day, now).replace(/^(Today|Yesterday)$/, (word) => word.toLowerCase());
    return `${day} ${formatTime(at, zone)}`;
  };
  const parts = [
    `Created ${moment(task.created_at)}`,
    task.updated_at === task.created_at ? "" : `changed ${moment(task.updated_at)}`,
    task.completed_at === null ? "" : `completed ${moment(task.completed_at)}`,
    task.pending ? "not sent yet" : `version ${task.version}`,
  ];
  return parts.filter((part) => part !== "").join(" · ");
}
