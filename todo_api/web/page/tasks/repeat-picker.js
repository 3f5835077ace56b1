/**
 * The panel in which the user chooses how a task repeats.
 */

import { h, uniqueId } from "../ui/dom.js";
import { openPopover } from "../ui/popover.js";
import { dueDay, today } from "./dates.js";
import { choice } from "./pickers.js";
import { parseQuickAdd } from "./quick-add.js";
import { describeRule, ruleParts, suggestRules } from "./recurrence-text.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("../../client/tasks.js").TaskChanges} TaskChanges */

/**
 * @param {Element} anchor
 * @param {LocalTask} task
 * @param {string} zone
 * @param {(changes: TaskChanges) => void} onPick
 */
export function openRepeatPicker(anchor, task, zone, onPick) {
  const current = today(zone, Date.now());
  const day = task.due_date === null ? current : dueDay(task.due_date, zone);
  const from = h(
    "select",
    { class: "input", "aria-label": "Next due date" },
    h("option", { value: "due", text: "From the due date" }),
    h("option", { value: "completion", text: "From the completion" }),
  );
  from.value = task.repeat_from ?? "due";
  const pick = (/** @type {string} */ rule, /** @type {string | undefined} */ due = undefined, repeatFrom = from.value) => {
    popover.close();
    onPick({
      recurrence_rule: rule,
      repeat_from: repeatFrom === "completion" ? "completion" : "due",
      ...(task.due_date === null ? { due_date: due ?? current } : {}),
    });
  };
  from.addEventListener("change", () => {
    if (task.recurrence_rule !== null) {
      pick(task.recurrence_rule);
    }
  });
  const suggestions = suggestRules(day).map(({ rule, label }) =>
    choice("repeat", label, "", () => pick(rule), { isChosen: describeRule(task.recurrence_rule ?? "") === label }),
  );
  const popover = openPopover(
    anchor,
    [
      ruleField(task, zone, pick),
      h("div", { class: "picker-list" }, suggestions, task.recurrence_rule !== null && choice("close", "Does not repeat", "", () => {
        popover.close();
        onPick({ recurrence_rule: null });
      })),
      h("label", { class: "picker-field" }, h("span", { class: "label", text: "The next task is due" }), from),
    ],
    { label: "Repeat", className: "picker" },
  );
}

/**
 * @param {LocalTask} task
 * @param {string} zone
 * @param {(rule: string, due?: string, from?: string) => void} pick
 */
function ruleField(task, zone, pick) {
  const preview = h("p", { class: "picker-preview", id: uniqueId("rule"), "aria-live": "polite" });
  const input = h("input", {
    type: "text",
    class: "input",
    value: task.recurrence_rule ?? "",
    placeholder: "Type it: every 2 weeks",
    "aria-label": "Repetition in words or as a rule",
    "aria-describedby": preview.id,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: false,
    maxLength: 200,
    on: {
      input: () => {
        const read = readRule(input.value, zone);
        preview.textContent =
          input.value.trim() === "" ? "" : read ? describeRule(read.rule, read.from) : "Type “every 2 weeks”, or a rule such as FREQ=WEEKLY;BYDAY=MO.";
      },
      keydown: (event) => {
        const read = event.key === "Enter" ? readRule(input.value, zone) : null;
        if (read) {
          event.preventDefault();
          pick(read.rule, read.due, read.from);
        }
      },
    },
  });
  return h("div", { class: "picker-field" }, input, preview);
}

/**
 * @param {string} text
 * @param {string} zone
 * @returns {{ rule: string, due?: string, from?: string } | null}
 */
function readRule(text, zone) {
  if (ruleParts(text)) {
    return { rule: text.trim() };
  }
  const context = { zone, now: Date.now() };
  const [plain, every] = [parseQuickAdd(text, context).fields, parseQuickAdd(`every ${text}`, context).fields];
  const { recurrence_rule: rule, due_date: due, repeat_from: from } = plain.recurrence_rule ? plain : every;
  return rule ? { rule, ...(due ? { due } : {}), ...(from ? { from } : {}) } : null;
}
