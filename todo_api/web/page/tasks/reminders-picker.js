/**
 * The panel with the reminders of a task.
 */

import { h, icon, iconButton } from "../ui/dom.js";
import { openPopover } from "../ui/popover.js";
import { dueMoment, formatDue, isAllDay, localTime, momentOf, startOfDay, writeMoment } from "./dates.js";
import { choice } from "./pickers.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {{ minutes_before?: number | null, remind_at?: string | null }} Reminder */

const MOST = 5;
const DAY = 1440;
const BEFORE_MOMENT = [0, 10, 60, DAY];
/** The minutes count from the start of the day: at 9 and at 18 on the day before. */
const BEFORE_DAY = [DAY - 540, DAY - 1080, 6 * DAY + DAY - 540];

/**
 * @param {Element} anchor
 * @param {{ task: () => LocalTask, zone: string, onChange: (reminders: Reminder[]) => void }} options
 */
export function openReminders(anchor, { task, zone, onChange }) {
  const content = h("div", { class: "picker-content" });

  /** @type {readonly Reminder[]} the card learns of a change only with the next frame */
  let reminders = task().reminders;

  /** @param {Reminder[]} changed */
  function set(changed) {
    reminders = changed;
    onChange(changed);
    show();
    popover.element.focus();
  }

  function show() {
    const { due_date: due } = task();
    const add = (/** @type {Reminder} */ reminder) => set([...reminders.map(plain), reminder]);
    const isFull = reminders.length >= MOST;
    content.replaceChildren(
      h("ul", { class: "reminder-list" }, reminders.map((reminder, index) => item(reminder, due, zone, () => set(reminders.filter((_, at) => at !== index).map(plain))))),
      isFull
        ? h("p", { class: "picker-preview", text: "A task has up to five reminders." })
        : h("div", { class: "picker-list" }, presets(due, reminders).map((minutes) => choice("bell", describeReminder({ minutes_before: minutes }, due, zone), "", () => add({ minutes_before: minutes })))),
      ...(isFull ? [] : [timeField(zone, due, add)]),
    );
  }

  const popover = openPopover(anchor, content, { label: "Reminders", className: "picker" });
  show();
}

/**
 * Return the reminder in words.
 * @param {Reminder} reminder
 * @param {string | null} due
 * @param {string} zone
 */
export function describeReminder({ minutes_before: minutes, remind_at: at }, due, zone) {
  if (minutes === undefined || minutes === null) {
    return at ? formatDue(at, zone, Date.now()) : "";
  }
  if (due !== null && isAllDay(due)) {
    const moment = writeMoment(startOfDay(due, zone) - minutes * 60_000);
    return `${formatDue(moment, zone, Date.now())}`;
  }
  return minutes === 0 ? "When it is due" : `${duration(minutes)} before`;
}

/** @param {number} minutes */
function duration(minutes) {
  const units = /** @type {[number, string][]} */ ([[7 * DAY, "week"], [DAY, "day"], [60, "hour"], [1, "minute"]]);
  const [size, name] = units.find(([each]) => minutes % each === 0) ?? [1, "minute"];
  return `${minutes / size} ${name}${minutes === size ? "" : "s"}`;
}

/**
 * @param {string | null} due
 * @param {readonly Reminder[]} reminders
 */
function presets(due, reminders) {
  const minutes = due === null ? [] : isAllDay(due) ? BEFORE_DAY : BEFORE_MOMENT;
  return minutes.filter((each) => !reminders.some((reminder) => reminder.minutes_before === each));
}

/**
 * @param {Reminder} reminder
 * @param {string | null} due
 * @param {string} zone
 * @param {() => void} remove
 */
function item(reminder, due, zone, remove) {
  const label = describeReminder(reminder, due, zone);
  return h("li", {}, icon("bell"), h("span", { class: "grow", text: label }), iconButton("close", `Remove the reminder: ${label}`, remove));
}

/**
 * @param {string} zone
 * @param {string | null} due
 * @param {(reminder: Reminder) => void} add
 */
function timeField(zone, due, add) {
  const start = due === null ? Date.now() + 3_600_000 : Math.max(Date.now(), dueMoment(due, zone) - 3_600_000);
  const shown = localTime(start, zone);
  const input = h("input", { type: "datetime-local", class: "input", "aria-label": "Remind at", value: `${shown.day}T${shown.time.slice(0, 2)}:00` });
  const submit = () => {
    const [day = "", time = ""] = input.value.split("T");
    if (day && time) {
      add({ remind_at: writeMoment(momentOf(day, time.slice(0, 5), zone)) });
    }
  };
  return h("div", { class: "picker-row" }, input, h("button", { type: "button", class: "button", text: "Add", on: { click: submit } }));
}

/**
 * Return the reminder without the time that follows from it.
 * @param {Reminder} reminder
 * @returns {Reminder}
 */
function plain({ minutes_before: minutes, remind_at: at }) {
  return minutes === undefined || minutes === null ? { remind_at: at ?? null } : { minutes_before: minutes };
}
