/**
 * Repetitions in what is typed: `every Monday`, `every 2 weeks`, `every! 3 days` from completion.
 */

import { addDays, momentOf, weekday } from "./dates.js";
import {
  dayNamed,
  monthNamed,
  nextDate,
  nextDayOfMonth,
  numberNamed,
  readDay,
  weekdayFrom,
  weekdayNamed,
} from "./quick-add-dates.js";
import { WEEKDAYS } from "./recurrence-text.js";

/** @typedef {import("./quick-add.js").Match} Match */
/** @typedef {import("./quick-add.js").Clock} Clock */
/** @typedef {{ rule: string, length: number, first: (from: string) => string }} Found */

const FREQUENCIES = new Map(Object.entries({ day: "DAILY", week: "WEEKLY", month: "MONTHLY", year: "YEARLY" }));
const SHORTHANDS = ["daily", "weekly", "monthly", "yearly"];
const LONGEST_INTERVAL = 400;

/**
 * Return the repetition with which the words begin.
 * @param {string[]} words in lower case
 * @param {Clock} clock
 * @returns {Match | null}
 */
export function readRepeat(words, clock) {
  const [first = ""] = words;
  if (SHORTHANDS.includes(first)) {
    return { ...matchOf({ rule: first, length: 1, first: same }, clock), isWeak: true, isLate: true };
  }
  if (first !== "every" && first !== "every!" && first !== "each") {
    return null;
  }
  const found = readEvery(words.slice(1), clock);
  if (!found) {
    return null;
  }
  const ended = readEnd(words.slice(found.length + 1), found, clock);
  const fromCompletion = first === "every!";
  // The API counts from the completion only in whole periods, or to the next of some days.
  if (fromCompletion && /INTERVAL=.*BY/.test(ended.rule)) {
    return null;
  }
  return { ...matchOf({ ...ended, length: ended.length + 1 }, clock), fromCompletion };
}

/**
 * @param {Found} found
 * @param {Clock} clock
 * @returns {Match}
 */
function matchOf({ rule, length, first }, clock) {
  const firstDay = (/** @type {string} */ time) => {
    const day = first(clock.today);
    const hasPassed = time !== "" && momentOf(day, time, clock.zone) <= clock.now;
    return hasPassed ? first(addDays(day, 1)) : day;
  };
  return { kind: "repeat", length, rule, firstDay };
}

/**
 * @param {string[]} words after “every”
 * @param {Clock} clock
 * @returns {Found | null}
 */
function readEvery(words, clock) {
  return readNamed(words) ?? readPeriod(words) ?? readNthWeekday(words) ?? readWeekdays(words) ?? readCalendar(words, clock);
}

/**
 * @param {string[]} words
 * @returns {Found | null}
 */
function readNamed([word = "", second = ""]) {
  switch (word) {
    case "weekday":
    case "workday":
      return weekly([0, 1, 2, 3, 4], 1);
    case "weekend":
      return weekly([5, 6], 1);
    case "last":
      return second === "day" ? { rule: "FREQ=MONTHLY;BYMONTHDAY=-1", length: 2, first: (from) => nextDayOfMonth(-1, from) } : null;
    default:
      return null;
  }
}

/**
 * @param {string[]} words
 * @returns {Found | null}
 */
function readPeriod([first = "", second = "", ...rest]) {
  const isOther = first === "other" || first === "second";
  const number = isOther ? 2 : numberNamed(first);
  const isPlain = FREQUENCIES.has(first);
  const frequency = FREQUENCIES.get(isPlain ? first : second.replace(/s$/, ""));
  if (frequency === undefined || (!isPlain && (number < 1 || number > LONGEST_INTERVAL))) {
    const other = isOther ? weekdayNamed(second) : -1;
    return other < 0 ? null : { ...weekly([other], 2), rule: `FREQ=WEEKLY;INTERVAL=2;BYDAY=${WEEKDAYS[other]}` };
  }
  const interval = isPlain ? 1 : number;
  const length = isPlain ? 1 : 2;
  const following = isPlain ? [second, ...rest] : rest;
  if (frequency === "WEEKLY" && following[0] === "on") {
    const days = readWeekdays(following.slice(1));
    if (days) {
      const rule = interval === 1 ? days.rule : days.rule.replace("WEEKLY", `WEEKLY;INTERVAL=${interval}`);
      return { ...days, rule, length: length + 1 + days.length };
    }
  }
  return { rule: plainRule(frequency, interval), length, first: same };
}

/**
 * @param {string} frequency
 * @param {number} interval
 */
function plainRule(frequency, interval) {
  if (interval === 1) {
    return frequency.toLowerCase();
  }
  // As the shorthands do: on the last day of months that are too short.
  const skip = frequency === "MONTHLY" || frequency === "YEARLY" ? ";SKIP=BACKWARD" : "";
  return `FREQ=${frequency};INTERVAL=${interval}${skip}`;
}

/**
 * `1st Monday` and `last Friday`, of every month.
 * @param {string[]} words
 * @returns {Found | null}
 */
function readNthWeekday([first = "", second = ""]) {
  const nth = first === "last" ? -1 : /^[1-4](st|nd|rd|th)$/.test(first) ? Number(first[0]) : 0;
  const wanted = weekdayNamed(second);
  if (nth === 0 || wanted < 0) {
    return null;
  }
  return {
    rule: `FREQ=MONTHLY;BYDAY=${nth}${WEEKDAYS[wanted]}`,
    length: 2,
    first: (from) => nthWeekdayFrom(from, wanted, nth),
  };
}

/**
 * @param {string} from
 * @param {number} wanted
 * @param {number} nth
 */
function nthWeekdayFrom(from, wanted, nth) {
  let day = weekdayFrom(from, wanted);
  const isNth = () =>
    nth < 0 ? addDays(day, 7).slice(0, 7) !== day.slice(0, 7) : Math.ceil(Number(day.slice(8)) / 7) === nth;
  while (!isNth()) {
    day = addDays(day, 7);
  }
  return day;
}

/**
 * `mon, wed and fri`
 * @param {string[]} words
 * @returns {Found | null}
 */
function readWeekdays(words) {
  /** @type {number[]} */
  const days = [];
  let length = 0;
  for (let at = 0; at < words.length; at += 1) {
    const isJoined = days.length > 0 && (words[at] === "and" || words[at] === "&");
    const names = (words[isJoined ? at + 1 : at] ?? "").split(/[,/]/).map((name) => weekdayNamed(name.replace(/s$/, "")));
    if (names.some((name) => name < 0)) {
      break;
    }
    days.push(...names);
    at += Number(isJoined);
    length = at + 1;
  }
  return length === 0 ? null : weekly([...new Set(days)].sort(), length);
}

/**
 * @param {number[]} days 0 for Monday
 * @param {number} length
 * @returns {Found}
 */
function weekly(days, length) {
  return {
    rule: `FREQ=WEEKLY;BYDAY=${days.map((day) => WEEKDAYS[day]).join(",")}`,
    length,
    first: (from) => {
      const ahead = days.map((day) => (day - weekday(from) + 7) % 7);
      return addDays(from, Math.min(...ahead));
    },
  };
}

/**
 * `1st` and `15` of every month, and `1 Dec` of every year.
 * @param {string[]} words
 * @param {Clock} clock
 * @returns {Found | null}
 */
function readCalendar([first = "", second = ""], clock) {
  const [month, day] = monthNamed(first) ? [monthNamed(first), dayNamed(second)] : [monthNamed(second), dayNamed(first)];
  if (month && day && nextDate(month, day, clock.today)) {
    return {
      rule: `FREQ=YEARLY;BYMONTH=${month};BYMONTHDAY=${day}`,
      length: 2,
      first: (from) => nextDate(month, day, from) ?? from,
    };
  }
  const monthDay = /^\d{1,2}(st|nd|rd|th)$/.test(first) ? dayNamed(first) : 0;
  return monthDay
    ? { rule: `FREQ=MONTHLY;BYMONTHDAY=${monthDay}`, length: 1, first: (from) => nextDayOfMonth(monthDay, from) }
    : null;
}

/**
 * Read `until 1 Dec` or `5 times` after the rule.
 * @param {string[]} words
 * @param {Found} found
 * @param {Clock} clock
 * @returns {Found}
 */
function readEnd([first = "", ...rest], found, clock) {
  const rule = SHORTHANDS.includes(found.rule) ? `FREQ=${found.rule.toUpperCase()}` : found.rule;
  const last = first === "until" || first === "till" ? readDay(rest, clock) : null;
  if (last?.day) {
    return { ...found, rule: `${rule};UNTIL=${last.day.replaceAll("-", "")}`, length: found.length + 1 + last.length };
  }
  const count = numberNamed(first);
  if (count > 0 && count <= 1000 && rest[0] === "times") {
    return { ...found, rule: `${rule};COUNT=${count}`, length: found.length + 2 };
  }
  return found;
}

/** @param {string} day */
function same(day) {
  return day;
}
