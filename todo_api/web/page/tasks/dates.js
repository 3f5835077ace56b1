/**
 * Days, moments and time zones, as the API understands them.
 *
 * A day is a string such as `2026-12-01`, and a moment is a number of milliseconds since 1970. All
 * functions are pure: the time zone and the current time are arguments.
 */

const DAY = 86_400_000;

/** @type {Map<string, Intl.DateTimeFormat>} */
const clocks = new Map();

/** @type {Map<string, number>} */
const starts = new Map();

/** @type {Map<string, number>} */
const ends = new Map();

/**
 * Return the day after so many days.
 * @param {string} day
 * @param {number} days
 */
export function addDays(day, days) {
  return isoDay(Date.parse(`${day}T00:00:00Z`) + days * DAY);
}

/**
 * Return the day after so many months, or the last one of a month that is too short.
 * @param {string} day
 * @param {number} months
 */
export function addMonths(day, months) {
  const count = Number(day.slice(0, 4)) * 12 + Number(day.slice(5, 7)) - 1 + months;
  const year = Math.floor(count / 12);
  const month = (count % 12) + 1;
  return writeDay(year, month, Math.min(Number(day.slice(8)), daysInMonth(year, month)));
}

/**
 * Return how many days the month has.
 * @param {number} year
 * @param {number} month 1 to 12
 */
export function daysInMonth(year, month) {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/**
 * Return the day as a string, without checking that it exists.
 * @param {number} year
 * @param {number} month 1 to 12
 * @param {number} day
 */
export function writeDay(year, month, day) {
  const digits = (/** @type {number} */ number, length = 2) => String(number).padStart(length, "0");
  return `${digits(year, 4)}-${digits(month)}-${digits(day)}`;
}

/**
 * Return whether there is such a day.
 * @param {string} text
 */
export function isDay(text) {
  const moment = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN;
  return !Number.isNaN(moment) && isoDay(moment) === text;
}

/**
 * Return the weekday, from 0 for Monday to 6 for Sunday.
 * @param {string} day
 */
export function weekday(day) {
  return (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7;
}

/**
 * Return how many days the second day is after the first one.
 * @param {string} from
 * @param {string} to
 */
export function daysBetween(from, to) {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY);
}

/**
 * Return what a calendar and a clock in this zone show at the moment.
 * @param {number} moment
 * @param {string} zone
 * @returns {{ day: string, time: string }}
 */
export function localTime(moment, zone) {
  const shown = clockOf(zone).format(moment);
  return { day: shown.slice(0, 10), time: shown.slice(11, 16) };
}

/**
 * Return the day in this zone.
 * @param {string} zone
 * @param {number} now
 */
export function today(zone, now) {
  return localTime(now, zone).day;
}

/**
 * Return the moment at which clocks in this zone show a time such as `09:30`.
 *
 * A time that clocks skip is read as if they had not been set forward yet, and of a time that
 * occurs twice the first one counts, as in the API.
 * @param {string} day
 * @param {string} time
 * @param {string} zone
 */
export function momentOf(day, time, zone) {
  const wanted = Date.parse(`${day}T${time}:00Z`);
  const before = wanted - offsetAt(wanted - DAY, zone);
  const after = wanted - offsetAt(wanted + DAY, zone);
  const shows = (/** @type {number} */ moment) => moment + offsetAt(moment, zone) === wanted;
  return [Math.min(before, after), Math.max(before, after)].find(shows) ?? before;
}

/**
 * Return the first moment of a day in this zone.
 * @param {string} day
 * @param {string} zone
 */
export function startOfDay(day, zone) {
  const key = day + zone;
  let start = starts.get(key);
  if (start === undefined) {
    start = momentOf(day, "00:00", zone);
    starts.set(key, start);
  }
  return start;
}

/**
 * Return the last moment of a day in this zone, which is before the first one of the next day.
 * @param {string} day
 * @param {string} zone
 */
export function endOfDay(day, zone) {
  const key = day + zone;
  let end = ends.get(key);
  if (end === undefined) {
    end = startOfDay(addDays(day, 1), zone) - 0.001;
    ends.set(key, end);
  }
  return end;
}

/**
 * Return when a task is due, to compare it: a day counts as its last moment.
 * @param {string} due
 * @param {string} zone
 */
export function dueMoment(due, zone) {
  return isAllDay(due) ? endOfDay(due, zone) : Date.parse(due);
}

/**
 * Return the day in this zone on which a task is due.
 * @param {string} due
 * @param {string} zone
 */
export function dueDay(due, zone) {
  return isAllDay(due) ? due : localTime(Date.parse(due), zone).day;
}

/**
 * Return the time of day at which a task is due, or an empty string if it is due on a day.
 * @param {string} due
 * @param {string} zone
 */
export function dueTime(due, zone) {
  return isAllDay(due) ? "" : localTime(Date.parse(due), zone).time;
}

/**
 * Return the due date that the API is sent: a day, or a moment in UTC.
 * @param {string} day
 * @param {string} time such as `09:30`, or empty
 * @param {string} zone
 */
export function writeDue(day, time, zone) {
  return time ? writeMoment(momentOf(day, time, zone)) : day;
}

/**
 * Return the moment as in RFC 3339, without fractions of a second.
 * @param {number} moment
 */
export function writeMoment(moment) {
  return new Date(moment).toISOString().replace(/\.\d+Z$/, "Z");
}

/**
 * Return whether the due date is a day.
 * @param {string} due
 */
export function isAllDay(due) {
  return due.length === 10;
}

/**
 * Return the day as it is called in a list: “Today”, “Friday”, “1 Dec”.
 * @param {string} day
 * @param {string} current the day of today
 * @param {string} [locale]
 */
export function nameDay(day, current, locale) {
  const distance = daysBetween(current, day);
  if (distance >= -1 && distance <= 1) {
    return ["Yesterday", "Today", "Tomorrow"][distance + 1] ?? "";
  }
  if (distance > 1 && distance < 7) {
    return formatDay(day, { weekday: "long" }, locale);
  }
  const isThisYear = day.slice(0, 4) === current.slice(0, 4);
  return formatDay(day, { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) }, locale);
}

/**
 * Return the day as a heading: “Friday 4 December”, with what it is called nearby.
 * @param {string} day
 * @param {string} current
 * @param {string} [locale]
 */
export function headDay(day, current, locale) {
  const isThisYear = day.slice(0, 4) === current.slice(0, 4);
  const year = isThisYear ? {} : { year: /** @type {const} */ ("numeric") };
  const full = formatDay(day, { weekday: "short", day: "numeric", month: "long", ...year }, locale);
  return daysBetween(current, day) === 1 ? `Tomorrow · ${full}` : full;
}

/**
 * Return the day in the user's language.
 * @param {string} day
 * @param {Intl.DateTimeFormatOptions} options
 * @param {string} [locale]
 */
export function formatDay(day, options, locale) {
  return format(Date.parse(`${day}T00:00:00Z`), "UTC", options, locale);
}

/**
 * Return the time of day in the user's language.
 * @param {number} moment
 * @param {string} zone
 * @param {string} [locale]
 */
export function formatTime(moment, zone, locale) {
  return format(moment, zone, { timeStyle: "short" }, locale);
}

/**
 * Return a due date as it is shown in a list: “Tomorrow 09:00”.
 * @param {string} due
 * @param {string} zone
 * @param {number} now
 * @param {string} [locale]
 */
export function formatDue(due, zone, now, locale) {
  const day = nameDay(dueDay(due, zone), today(zone, now), locale);
  return isAllDay(due) ? day : `${day} ${formatTime(Date.parse(due), zone, locale)}`;
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {number} moment
 * @param {string} zone
 * @param {Intl.DateTimeFormatOptions} options
 * @param {string | undefined} locale
 */
function format(moment, zone, options, locale) {
  const key = JSON.stringify([zone, options, locale]);
  let made = formats.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
    formats.set(key, made);
  }
  return made.format(moment);
}

/** @param {number} moment */
function isoDay(moment) {
  return new Date(moment).toISOString().slice(0, 10);
}

/**
 * @param {number} moment
 * @param {string} zone
 */
function offsetAt(moment, zone) {
  const shown = Date.parse(`${clockOf(zone).format(moment).replace(" ", "T")}Z`);
  return shown - Math.floor(moment / 1000) * 1000;
}

/** @param {string} zone */
function clockOf(zone) {
  let clock = clocks.get(zone);
  if (!clock) {
    // The Swedish format is that of ISO 8601: 2026-12-01 09:30:00.
    clock = new Intl.DateTimeFormat("sv-SE", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
    clocks.set(zone, clock);
  }
  return clock;
}
