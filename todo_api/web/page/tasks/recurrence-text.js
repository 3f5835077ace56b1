/**
 * Recurrence rules in words, and the rules that a due date suggests.
 */

import { formatDay, isDay, weekday } from "./dates.js";

export const WEEKDAYS = /** @type {const} */ (["MO", "TU", "WE", "TH", "FR", "SA", "SU"]);
const WORKDAYS = "MO,TU,WE,TH,FR";
const UNITS = /** @type {Record<string, string>} */ ({ DAILY: "day", WEEKLY: "week", MONTHLY: "month", YEARLY: "year" });
const LAST_DAYS = "28,29,30,31";

/**
 * Return the parts of a rule, or null if it is none that can be read.
 * @param {string} rule a rule of RFC 5545, or a shorthand such as `weekly`
 * @returns {Record<string, string> | null}
 */
export function ruleParts(rule) {
  const text = rule.trim().toUpperCase().replace(/^RRULE:/, "");
  if (text in UNITS) {
    return { FREQ: text };
  }
  const parts = Object.fromEntries(text.split(";").map((part) => part.split("=", 2)));
  return parts.FREQ in UNITS ? parts : null;
}

/**
 * Return the rule in words: “Every 2 weeks on Monday”.
 * @param {string} rule
 * @param {string | null} [repeatFrom] `due` or `completion`
 * @param {string} [locale]
 */
export function describeRule(rule, repeatFrom = "due", locale) {
  const parts = ruleParts(rule);
  if (!parts) {
    return rule;
  }
  const from = repeatFrom === "completion" ? ", after completion" : "";
  return `Every ${period(parts)}${days(parts, locale)}${end(parts, locale)}${from}`;
}

/**
 * Return the rules that fit a task that is due on this day, with their names.
 * @param {string} day
 * @param {string} [locale]
 * @returns {{ label: string, rule: string }[]}
 */
export function suggestRules(day, locale) {
  const code = WEEKDAYS[weekday(day)] ?? "MO";
  const date = Number(day.slice(8));
  const nth = Math.ceil(date / 7);
  const monthly = nth > 4 ? `-1${code}` : `${nth}${code}`;
  const rules = [
    "daily",
    `FREQ=WEEKLY;BYDAY=${WORKDAYS}`,
    `FREQ=WEEKLY;BYDAY=${code}`,
    "FREQ=WEEKLY;INTERVAL=2",
    "monthly",
    `FREQ=MONTHLY;BYDAY=${monthly}`,
    "yearly",
  ];
  return rules.map((rule) => ({ rule, label: describeRule(rule, "due", locale) }));
}

/** @param {Record<string, string>} parts */
function period(parts) {
  if (parts.FREQ === "WEEKLY" && parts.BYDAY === WORKDAYS && !isMany(parts)) {
    return "weekday";
  }
  const unit = UNITS[parts.FREQ ?? ""] ?? "";
  return isMany(parts) ? `${parts.INTERVAL} ${unit}s` : unit;
}

/** @param {Record<string, string>} parts */
function isMany(parts) {
  return parts.INTERVAL !== undefined && parts.INTERVAL !== "1";
}

/**
 * @param {Record<string, string>} parts
 * @param {string | undefined} locale
 */
function days(parts, locale) {
  const months = parts.BYMONTH ? ` in ${list(parts.BYMONTH, (month) => nameMonth(month, locale))}` : "";
  if (parts.BYDAY && !(parts.BYDAY === WORKDAYS && parts.FREQ === "WEEKLY" && !isMany(parts))) {
    const which = parts.BYSETPOS ? `the ${ordinal(Number(parts.BYSETPOS))} ` : "";
    return ` on ${which}${list(parts.BYDAY, (day) => nameWeekday(day, locale), parts.BYSETPOS ? "or" : "and")}${months}`;
  }
  if (parts.BYMONTHDAY) {
    const isLast = parts.BYSETPOS === "-1" && LAST_DAYS.startsWith(parts.BYMONTHDAY);
    const latest = parts.BYMONTHDAY.split(",").at(-1) ?? "";
    return ` on the ${isLast ? `${ordinal(Number(latest))} or last day` : list(parts.BYMONTHDAY, (day) => nameMonthDay(day))}${months}`;
  }
  return months;
}

/**
 * @param {Record<string, string>} parts
 * @param {string | undefined} locale
 */
function end(parts, locale) {
  if (parts.COUNT) {
    return parts.COUNT === "1" ? ", for the last time" : `, ${parts.COUNT} times`;
  }
  const until = (parts.UNTIL ?? "").replace(/^(\d{4})(\d\d)(\d\d).*/, "$1-$2-$3");
  const shown = isDay(until) ? formatDay(until, { day: "numeric", month: "short", year: "numeric" }, locale) : until;
  return shown ? `, until ${shown}` : "";
}

/**
 * @param {string} text
 * @param {(item: string) => string} name
 */
function list(text, name, word = "and") {
  const items = text.split(",").map(name);
  const last = items.pop() ?? "";
  return items.length > 0 ? `${items.join(", ")} ${word} ${last}` : last;
}

/**
 * @param {string} text such as `MO`, `2TU` or `-1FR`
 * @param {string | undefined} locale
 */
function nameWeekday(text, locale) {
  const [, nth, code] = /^([+-]?\d*)([A-Z]{2})$/.exec(text) ?? ["", "", text];
  const index = WEEKDAYS.findIndex((each) => each === code);
  // 1 January 2024 was a Monday.
  const name = index < 0 ? text : formatDay(`2024-01-0${index + 1}`, { weekday: "long" }, locale);
  return nth ? `the ${ordinal(Number(nth))} ${name}` : name;
}

/**
 * @param {string} month
 * @param {string | undefined} locale
 */
function nameMonth(month, locale) {
  return formatDay(`2024-${month.padStart(2, "0")}-01`, { month: "long" }, locale);
}

/** @param {string} day */
function nameMonthDay(day) {
  return Number(day) < 0 ? `${ordinal(Number(day))} day` : ordinal(Number(day));
}

/**
 * Return the number as in “the 2nd”, “the last” and “the 2nd to last”.
 * @param {number} number
 * @returns {string}
 */
export function ordinal(number) {
  if (number < 0) {
    return number === -1 ? "last" : `${ordinal(-number)} to last`;
  }
  const suffix = number % 100 > 10 && number % 100 < 14 ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return `${number}${suffix}`;
}
