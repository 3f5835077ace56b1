/**
 * The panels in which a due date and a priority are chosen.
 */

import { h, icon, uniqueId } from "../ui/dom.js";
import { openMenu } from "../ui/menu.js";
import { openPopover } from "../ui/popover.js";
import { addDays, dueDay, dueTime, formatDay, formatDue, isDay, today, weekday, writeDue } from "./dates.js";
import { PRIORITIES } from "./filters.js";
import { PRIORITY_LABELS } from "./labels.js";
import { parseQuickAdd } from "./quick-add.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */

/**
 * Let the user choose a due date.
 * @param {Element} anchor
 * @param {{ due: string | null, zone: string, onPick: (due: string | null) => void }} options
 */
export function openDuePicker(anchor, { due, zone, onPick }) {
  const now = Date.now();
  const current = today(zone, now);
  const pick = (/** @type {string | null} */ chosen) => {
    popover.close();
    onPick(chosen);
  };
  const time = due === null ? "" : dueTime(due, zone);
  const keepingTime = (/** @type {string} */ day) => pick(writeDue(day, time, zone));
  const text = dateField(zone, pick);
  const date = h("input", { type: "date", class: "input", value: due === null ? "" : dueDay(due, zone), "aria-label": "Date", min: "1970-01-01", max: "9999-12-31" });
  const clock = h("input", { type: "time", class: "input", value: time, "aria-label": "Time" });
  const apply = () => {
    const day = date.value || (clock.value ? current : "");
    if (isDay(day)) {
      date.value = day;
      onPick(writeDue(day, clock.value, zone));
    }
  };
  date.addEventListener("change", apply);
  clock.addEventListener("change", apply);
  const monday = addDays(current, 7 - weekday(current));
  const choices = /** @type {[string, string][]} */ ([
    ["Today", current],
    ["Tomorrow", addDays(current, 1)],
    ["This weekend", addDays(monday, -2)],
    ["Next week", monday],
  ]).filter(([, day], index, all) => day >= current && all.findIndex(([, other]) => other === day) === index);
  const content = [
    text.element,
    h(
      "div",
      { class: "picker-list" },
      choices.map(([label, day]) => choice("calendar", label, formatDay(day, { weekday: "short", day: "numeric", month: "short" }), () => keepingTime(day))),
      due !== null && choice("close", "No due date", "", () => pick(null)),
    ),
    h("div", { class: "picker-row" }, date, clock),
  ];
  const popover = openPopover(anchor, content, { label: "Due date", className: "picker" });
}

/**
 * @param {string} zone
 * @param {(due: string) => void} pick
 */
function dateField(zone, pick) {
  const preview = h("p", { class: "picker-preview", id: uniqueId("preview"), "aria-live": "polite" });
  const read = () => parseQuickAdd(input.value, { zone, now: Date.now() }).fields.due_date;
  const input = h("input", {
    type: "text",
    class: "input",
    placeholder: "Type a date: friday 9am",
    "aria-label": "Due date in words",
    "aria-describedby": preview.id,
    autocomplete: "off",
    on: {
      input: () => {
        const due = read();
        preview.textContent = input.value.trim() === "" ? "" : due ? formatDue(due, zone, Date.now()) : "Type it such as “tomorrow”, “1 dec” or “in 3 days at 9am”.";
      },
      keydown: (event) => {
        const due = event.key === "Enter" ? read() : undefined;
        if (due) {
          event.preventDefault();
          pick(due);
        }
      },
    },
  });
  return { element: h("div", { class: "picker-field" }, input, preview) };
}

/**
 * A line that can be chosen in a panel.
 * @param {string} name of the icon
 * @param {string} label
 * @param {string} detail
 * @param {() => void} run
 * @param {{ isChosen?: boolean }} [options]
 */
export function choice(name, label, detail, run, { isChosen } = {}) {
  return h(
    "button",
    { type: "button", class: "menu-item", "aria-pressed": isChosen === undefined ? null : String(isChosen), on: { click: run } },
    icon(name),
    h("span", { class: "truncate", text: label, dir: "auto" }),
    detail !== "" && h("span", { class: "choice-detail", text: detail }),
    isChosen === true && icon("check", "icon-checked"),
  );
}

/**
 * Let the user choose a priority.
 * @param {Element} anchor
 * @param {LocalTask["priority"] | null} priority
 * @param {(priority: LocalTask["priority"]) => void} onPick
 */
export function openPriorityMenu(anchor, priority, onPick) {
  const items = PRIORITIES.toReversed().map((name) => ({
    label: PRIORITY_LABELS[name],
    icon: "flag",
    ...(priority === null ? {} : { checked: name === priority }),
    run: () => onPick(name),
  }));
  openMenu(anchor, items, { label: "Priority" });
}
