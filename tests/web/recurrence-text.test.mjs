/** Recurrence rules in words. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { describeRule, ruleParts, suggestRules } from "../../todo_api/web/page/tasks/recurrence-text.js";

/** @type {Record<string, string>} */
const RULES = {
  daily: "Every day",
  "FREQ=DAILY;INTERVAL=3": "Every 3 days",
  "FREQ=WEEKLY;BYDAY=MO": "Every week on Monday",
  "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR": "Every weekday",
  "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR": "Every 2 weeks on Monday, Wednesday and Friday",
  "rrule:freq=monthly;bymonthday=1": "Every month on the 1st",
  "FREQ=MONTHLY;BYMONTHDAY=-1": "Every month on the last day",
  "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1": "Every month on the 31st or last day",
  "FREQ=MONTHLY;BYDAY=2TU": "Every month on the 2nd Tuesday",
  "FREQ=MONTHLY;BYDAY=-1FR": "Every month on the last Friday",
  "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1": "Every month on the 1st Monday or Tuesday",
  "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29": "Every year on the 29th in February",
  "FREQ=DAILY;COUNT=5": "Every day, 5 times",
  "FREQ=DAILY;COUNT=1": "Every day, for the last time",
  "FREQ=DAILY;UNTIL=20270301": "Every day, until 1 Mar 2027",
};

for (const [rule, words] of Object.entries(RULES)) {
  test(`${rule} is “${words}”`, () => {
    assert.equal(describeRule(rule, "due", "en-GB"), words);
  });
}

test("a rule that counts from the completion says so", () => {
  assert.equal(describeRule("FREQ=DAILY;INTERVAL=3", "completion"), "Every 3 days, after completion");
});

test("what is not a rule is shown as it is", () => {
  assert.equal(describeRule("FREQ=HOURLY"), "FREQ=HOURLY");
  assert.equal(ruleParts("every monday"), null);
});

test("the suggestions fit the day", () => {
  const rules = suggestRules("2026-12-08").map(({ rule }) => rule);
  assert.ok(rules.includes("FREQ=WEEKLY;BYDAY=TU"));
  assert.ok(rules.includes("FREQ=MONTHLY;BYDAY=2TU"));
  assert.ok(suggestRules("2026-12-29").some(({ rule }) => rule === "FREQ=MONTHLY;BYDAY=-1TU"));
});
