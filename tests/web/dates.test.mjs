/** Days, moments and time zones of the page. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  addDays,
  addMonths,
  daysBetween,
  dueDay,
  dueMoment,
  formatDue,
  isDay,
  localTime,
  momentOf,
  nameDay,
  startOfDay,
  weekday,
  writeDue,
} from "../../todo_api/web/page/tasks/dates.js";

const iso = (/** @type {number} */ moment) => new Date(moment).toISOString();

test("days are added across months, years and leap days", () => {
  assert.equal(addDays("2026-12-31", 1), "2027-01-01");
  assert.equal(addDays("2028-03-01", -1), "2028-02-29");
  assert.equal(daysBetween("2026-10-01", "2026-11-01"), 31);
});

test("a month that is too short ends on its last day", () => {
  assert.equal(addMonths("2027-01-31", 1), "2027-02-28");
  assert.equal(addMonths("2028-02-29", 12), "2029-02-28");
  assert.equal(addMonths("2026-01-15", -1), "2025-12-15");
});

test("weekdays begin with Monday", () => {
  assert.equal(weekday("2026-11-30"), 0);
  assert.equal(weekday("2026-12-06"), 6);
});

test("only days that exist are days", () => {
  assert.ok(isDay("2028-02-29"));
  for (const text of ["2027-02-29", "2026-13-01", "2026-1-1", "tomorrow", ""]) {
    assert.ok(!isDay(text), text);
  }
});

test("a local time becomes the moment at which clocks show it", () => {
  assert.equal(iso(momentOf("2026-12-01", "09:00", "Europe/Berlin")), "2026-12-01T08:00:00.000Z");
  assert.equal(iso(momentOf("2026-07-01", "09:00", "Europe/Berlin")), "2026-07-01T07:00:00.000Z");
  assert.equal(iso(momentOf("2026-12-01", "09:00", "Pacific/Auckland")), "2026-11-30T20:00:00.000Z");
  assert.equal(iso(momentOf("2026-12-01", "09:00", "America/New_York")), "2026-12-01T14:00:00.000Z");
});

test("a time that clocks skip is read as if they had not been set forward yet", () => {
  assert.equal(iso(momentOf("2026-03-29", "02:30", "Europe/Berlin")), "2026-03-29T01:30:00.000Z");
});

test("of a time that occurs twice the first one counts", () => {
  assert.equal(iso(momentOf("2026-10-25", "02:30", "Europe/Berlin")), "2026-10-25T00:30:00.000Z");
});

test("a day with a change of the clocks has 23 or 25 hours", () => {
  const hours = (/** @type {string} */ day) =>
    (startOfDay(addDays(day, 1), "Europe/Berlin") - startOfDay(day, "Europe/Berlin")) / 3_600_000;
  assert.equal(hours("2026-03-29"), 23);
  assert.equal(hours("2026-10-25"), 25);
});

test("a task that is due on a day is due after all moments of that day", () => {
  const zone = "Europe/Berlin";
  assert.ok(dueMoment("2026-12-01", zone) > dueMoment("2026-12-01T22:59:59Z", zone));
  assert.ok(dueMoment("2026-12-01", zone) < dueMoment("2026-12-01T23:00:00Z", zone));
});

test("the day of a moment is that of the zone", () => {
  assert.equal(dueDay("2026-12-01T23:30:00Z", "Europe/Berlin"), "2026-12-02");
  assert.equal(dueDay("2026-12-01", "Pacific/Auckland"), "2026-12-01");
  assert.deepEqual(localTime(Date.parse("2026-12-01T00:00:00Z"), "UTC"), { day: "2026-12-01", time: "00:00" });
});

test("a due date is written as a day or as a moment in UTC", () => {
  assert.equal(writeDue("2026-12-01", "", "Europe/Berlin"), "2026-12-01");
  assert.equal(writeDue("2026-12-01", "09:30", "Europe/Berlin"), "2026-12-01T08:30:00Z");
});

test("near days have names, and others their date", () => {
  const name = (/** @type {string} */ day) => nameDay(day, "2026-11-30", "en-GB");
  assert.deepEqual(
    ["2026-11-29", "2026-11-30", "2026-12-01", "2026-12-04", "2026-12-07", "2027-01-01"].map(name),
    ["Yesterday", "Today", "Tomorrow", "Friday", "7 Dec", "1 Jan 2027"],
  );
});

test("a due date is shown with its time on the clocks of the zone", () => {
  const now = Date.parse("2026-11-30T10:00:00Z");
  assert.equal(formatDue("2026-12-01T08:00:00Z", "Europe/Berlin", now, "en-GB"), "Tomorrow 09:00");
  assert.equal(formatDue("2026-12-01", "Europe/Berlin", now, "en-GB"), "Tomorrow");
});
