/**
 * Dates and times in what is typed: `tomorrow 9am`, `next Monday`, `in 3 days`, `1 Dec`.
 */

import { addDays, addMonths, daysInMonth, isDay, weekday, writeDay } from "./dates.js";

/** @typedef {import("./quick-add.js").Match} Match */
/** @typedef {import("./quick-add.js").Clock} Clock */
/** @typedef {{ day?: string, moment?: number, time?: string, length: number, isWeak?: boolean }} Found */

const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];
/** Short names that are words of their own: understood only after a preposition or before a time. */
const WORDS = ["sat", "sun", "wed"];
const PREPOSITIONS = ["on", "by", "due", "starting", "from"];
const COUNTS = new Map(
  ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"].map((name, index) => [name, index + 1]),
);
const NAMED_TIMES = new Map(Object.entries({ noon: "12:00", midnight: "00:00" }));
const PARTS = new Map(Object.entries({ morning: "09:00", afternoon: "15:00", evening: "19:00" }));

/**
 * Return the date with which the words begin.
 * @param {string[]} words in lower case
 * @param {Clock} clock
 * @returns {Match | null}
 */
export function readDate(words, clock) {
  const hasPreposition = PREPOSITIONS.includes(words[0] ?? "");
  const rest = hasPreposition ? words.slice(1) : words;
  const found = readDay(rest, clock);
  if (!found) {
    return null;
  }
  const isShort = WORDS.includes(rest[0] ?? "") && found.length === 1;
  if (isShort && !hasPreposition && !readTime(rest.slice(1))) {
    return null;
  }
  const isWeak = Boolean(found.isWeak) && !hasPreposition && !readTime(rest.slice(found.length));
  return { kind: "date", ...found, length: found.length + Number(hasPreposition), isWeak };
}

/**
 * Return the time of day with which the words begin.
 * @param {string[]} words
 * @returns {Match | null}
 */
export function readTime(words) {
  if (words[0] === "in" && words[1] === "the") {
    const part = PARTS.get(words[2] ?? "");
    return part ? { kind: "time", length: 3, time: part } : null;
  }
  const skipped = Number(words[0] === "at" || words[0] === "@");
  const [first = "", second = ""] = words.slice(skipped);
  const named = NAMED_TIMES.get(first) ?? (skipped ? undefined : PARTS.get(first));
  if (named) {
    return { kind: "time", length: skipped + 1, time: named, isWeak: skipped === 0 };
  }
  const isSplit = /^[ap]\.?m\.?$/.test(second) && /^\d{1,2}(:\d\d)?$/.test(first);
  const time = clockTime(isSplit ? first + second : first, skipped > 0);
  if (!time) {
    return null;
  }
  const isWeak = skipped === 0 && !isSplit && /^\d{1,2}:\d\d$/.test(first);
  return { kind: "time", length: skipped + 1 + Number(isSplit), time, isWeak };
}

/**
 * Return the time, such as `09:30`, that is written as `9am`, `9:30`, `9:30pm` or, after “at”, `9`.
 * @param {string} text
 * @param {boolean} isAfterAt
 */
function clockTime(text, isAfterAt) {
  const [, hours, minutes, half] = /^(\d{1,2})(?::([0-5]\d))?(?:([ap])\.?m\.?)?$/.exec(text) ?? [];
  if (hours === undefined || (minutes === undefined && half === undefined && !isAfterAt)) {
    return null;
  }
  const hour = Number(hours);
  if (half === undefined ? hour > 23 : hour < 1 || hour > 12) {
    return null;
  }
  const shown = half === undefined ? hour : (hour % 12) + (half === "p" ? 12 : 0);
  return `${String(shown).padStart(2, "0")}:${minutes ?? "00"}`;
}

/**
 * Return the weekday that the word names, from 0 for Monday, or -1.
 * @param {string} word
 */
export function weekdayNamed(word) {
  const short = word.length >= 3 ? word : "?";
  return WEEKDAYS.findIndex((name) => name === word || name.slice(0, 3) === short || isLongShort(name, short));
}

/**
 * Return the month that the word names, from 1, or 0.
 * @param {string} word
 */
export function monthNamed(word) {
  return MONTHS.findIndex((name) => name === word || name.slice(0, 3) === word || (word === "sept" && name === "september")) + 1;
}

/**
 * Return the day of the month that the word names, such as `1`, `1st` or `31st`, or 0.
 * @param {string} word
 */
export function dayNamed(word) {
  const day = Number(/^(\d{1,2})(?:st|nd|rd|th)?$/.exec(word)?.[1] ?? 0);
  return day <= 31 ? day : 0;
}

/**
 * Return the number that the word is, or 0.
 * @param {string} word
 */
export function numberNamed(word) {
  return /^\d{1,4}$/.test(word) ? Number(word) : (COUNTS.get(word) ?? Number(word === "a" || word === "an"));
}

/**
 * Return the first day on this weekday that is not before the day.
 * @param {string} day
 * @param {number} wanted 0 for Monday
 */
export function weekdayFrom(day, wanted) {
  return addDays(day, (wanted - weekday(day) + 7) % 7);
}

/**
 * @param {string[]} words
 * @param {Clock} clock
 * @returns {Found | null}
 */
export function readDay(words, clock) {
  return readNamedDay(words, clock) ?? readNext(words, clock) ?? readDistance(words, clock) ?? readCalendarDay(words, clock);
}

/**
 * @param {string[]} words
 * @param {Clock} clock
 * @returns {Found | null}
 */
function readNamedDay([word = ""], clock) {
  switch (word) {
    case "today":
    case "tod":
      return { day: clock.today, length: 1, isWeak: word === "tod" };
    case "tonight":
      return { day: clock.today, time: "20:00", length: 1 };
    case "tomorrow":
    case "tmr":
    case "tmrw":
      return { day: addDays(clock.today, 1), length: 1 };
    default: {
      const wanted = weekdayNamed(word);
      return wanted < 0 ? null : { day: weekdayFrom(addDays(clock.today, 1), wanted), length: 1, isWeak: true };
    }
  }
}

/**
 * @param {string[]} words
 * @param {Clock} clock
 * @returns {Found | null}
 */
function readNext([first = "", second = ""], clock) {
  const isNext = first === "next";
  if (!isNext && first !== "this") {
    return null;
  }
  const monday = addDays(clock.today, 7 - weekday(clock.today));
  const wanted = weekdayNamed(second);
  if (wanted >= 0) {
    return { day: isNext ? addDays(monday, wanted) : weekdayFrom(clock.today, wanted), length: 2 };
  }
  if (second === "weekend") {
    return { day: isNext ? addDays(monday, 5) : weekdayFrom(clock.today, 5), length: 2 };
  }
  if (!isNext) {
    return null;
  }
  switch (second) {
    case "week":
      return { day: monday, length: 2 };
    case "month":
      return { day: `${addMonths(clock.today, 1).slice(0, 7)}-01`, length: 2 };
    case "year":
      return { day: writeDay(Number(clock.today.slice(0, 4)) + 1, 1, 1), length: 2 };
    default:
      return null;
  }
}

/**
 * @param {string[]} words
 * @param {Clock} clock
 * @returns {Found | null}
 */
function readDistance([first = "", count = "", unit = ""], clock) {
  const number = first === "in" ? numberNamed(count) : 0;
  if (number === 0) {
    return null;
  }
  switch (unit.replace(/s$/, "")) {
    case "day":
      return { day: addDays(clock.today, number), length: 3 };
    case "week":
      return { day: addDays(clock.today, number * 7), length: 3 };
    case "month":
      return { day: addMonths(clock.today, number), length: 3 };
    case "year":
      return { day: addMonths(clock.today, number * 12), length: 3 };
    case "hour":
      return { moment: momentAfter(clock, number * 60), length: 3 };
    case "minute":
    case "min":
      return { moment: momentAfter(clock, number), length: 3 };
    default:
      return null;
  }
}

/**
 * @param {string[]} words
 * @param {Clock} clock
 * @returns {Found | null}
 */
function readCalendarDay([first = "", second = "", third = ""], clock) {
  if (isDay(first) && first >= "1970") {
    return { day: first, length: 1 };
  }
  const [month, day] = monthNamed(second) && dayNamed(first)
    ? [monthNamed(second), dayNamed(first)]
    : [monthNamed(first), dayNamed(second)];
  if (!month || !day) {
    return null;
  }
  if (/^(19[7-9]|20|21)\d{1,2}$/.test(third) && isDay(writeDay(Number(third), month, day))) {
    return { day: writeDay(Number(third), month, day), length: 3 };
  }
  const found = nextDate(month, day, clock.today);
  return found ? { day: found, length: 2 } : null;
}

/**
 * Return the next such day of a year, today included; a 29 February may be years away.
 * @param {number} month
 * @param {number} day
 * @param {string} current
 */
export function nextDate(month, day, current) {
  const year = Number(current.slice(0, 4));
  const years = Array.from({ length: 9 }, (_, index) => year + index);
  return years.map((each) => writeDay(each, month, day)).find((each) => isDay(each) && each >= current);
}

/**
 * Return the next such day of a month, today included.
 * @param {number} day
 * @param {string} current
 */
export function nextDayOfMonth(day, current) {
  const months = Array.from({ length: 3 }, (_, index) => addMonths(`${current.slice(0, 7)}-01`, index));
  const days = months.map((month) => {
    const [year, number] = [Number(month.slice(0, 4)), Number(month.slice(5, 7))];
    return day < 0 ? writeDay(year, number, daysInMonth(year, number)) : writeDay(year, number, day);
  });
  return days.find((each) => isDay(each) && each >= current) ?? current;
}

/**
 * @param {Clock} clock
 * @param {number} minutes
 */
function momentAfter(clock, minutes) {
  return Math.ceil((clock.now + minutes * 60_000) / 60_000) * 60_000;
}

/**
 * @param {string} name
 * @param {string} short
 */
function isLongShort(name, short) {
  return (short === "tues" || short === "thur" || short === "thurs") && name.startsWith(short);
}
