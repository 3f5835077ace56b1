/** What quick add understands. Now is Monday, 30 November 2026, 11:00 in Berlin. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { parseQuickAdd } from "../../todo_api/web/page/tasks/quick-add.js";

const CONTEXT = { zone: "Europe/Berlin", now: Date.parse("2026-11-30T10:00:00Z") };

/** @param {string} text */
const parse = (text, ignored = []) => parseQuickAdd(text, { ...CONTEXT, ignored });

/**
 * @param {Record<string, [string, object]>} examples the title and the fields of texts
 */
function understands(examples) {
  for (const [text, [title, fields]] of Object.entries(examples)) {
    test(text, () => {
      const parsed = parse(text);
      assert.equal(parsed.title, title);
      assert.deepEqual(parsed.fields, fields);
    });
  }
}

describe("everything at once", () => {
  understands({
    "Water plants !high #home tomorrow 9am every monday": [
      "Water plants",
      { priority: "high", tags: ["home"], due_date: "2026-12-01T08:00:00Z", recurrence_rule: "FREQ=WEEKLY;BYDAY=MO" },
    ],
  });
});

describe("priorities and tags", () => {
  understands({
    "Call !1": ["Call", { priority: "urgent" }],
    "!4 call": ["call", { priority: "low" }],
    "Call !none": ["Call", { priority: "none" }],
    "Call now!": ["Call now!", {}],
    "Call !high !low": ["Call !low", { priority: "high" }],
    "Buy milk #shop, #Home #SHOP": ["Buy milk", { tags: ["shop", "Home"] }],
    "Fix bug #12": ["Fix bug #12", {}],
    "اشتر الحليب #بيت": ["اشتر الحليب", { tags: ["بيت"] }],
  });
});

describe("days", () => {
  understands({
    "Call today": ["Call", { due_date: "2026-11-30" }],
    "Call Bob tomorrow about taxes": ["Call Bob about taxes", { due_date: "2026-12-01" }],
    "Call on friday": ["Call", { due_date: "2026-12-04" }],
    "Call monday": ["Call", { due_date: "2026-12-07" }],
    "Call next friday": ["Call", { due_date: "2026-12-11" }],
    "Call this weekend": ["Call", { due_date: "2026-12-05" }],
    "Call next week": ["Call", { due_date: "2026-12-07" }],
    "Call next month": ["Call", { due_date: "2026-12-01" }],
    "Call in 3 days": ["Call", { due_date: "2026-12-03" }],
    "Call in a week": ["Call", { due_date: "2026-12-07" }],
    "Call in 3 months": ["Call", { due_date: "2027-02-28" }],
    "Call 1 dec": ["Call", { due_date: "2026-12-01" }],
    "Call march 5th": ["Call", { due_date: "2027-03-05" }],
    "Call 5 march 2028": ["Call", { due_date: "2028-03-05" }],
    "Call by 2026-12-24": ["Call", { due_date: "2026-12-24" }],
    "Call 2026-02-30": ["Call 2026-02-30", {}],
    "Call on 31 feb": ["Call on 31 feb", {}],
    "Call today tomorrow": ["Call tomorrow", { due_date: "2026-11-30" }],
  });
});

describe("times", () => {
  understands({
    "Call tonight": ["Call", { due_date: "2026-11-30T19:00:00Z" }],
    "Call tonight at 9pm": ["Call at 9pm", { due_date: "2026-11-30T19:00:00Z" }],
    "Call 21:00": ["Call", { due_date: "2026-11-30T20:00:00Z" }],
    "Call 9 pm": ["Call", { due_date: "2026-11-30T20:00:00Z" }],
    "Call at 9": ["Call", { due_date: "2026-12-01T08:00:00Z" }],
    "Call noon": ["Call", { due_date: "2026-11-30T11:00:00Z" }],
    "Call tomorrow morning": ["Call", { due_date: "2026-12-01T08:00:00Z" }],
    "Call in 2 hours": ["Call", { due_date: "2026-11-30T12:00:00Z" }],
    "Call on 1 july at 12:30am": ["Call", { due_date: "2027-06-30T22:30:00Z" }],
    "Call at 25:00": ["Call at 25:00", {}],
  });
});

describe("repetitions", () => {
  const rule = (/** @type {string} */ recurrence_rule, /** @type {string} */ due_date) => ({ recurrence_rule, due_date });
  understands({
    "Walk every day": ["Walk", rule("daily", "2026-11-30")],
    "Walk daily": ["Walk", rule("daily", "2026-11-30")],
    "Walk every day 9am": ["Walk", rule("daily", "2026-12-01T08:00:00Z")],
    "Walk every 2 weeks": ["Walk", rule("FREQ=WEEKLY;INTERVAL=2", "2026-11-30")],
    "Walk every other week": ["Walk", rule("FREQ=WEEKLY;INTERVAL=2", "2026-11-30")],
    "Walk every weekday": ["Walk", rule("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "2026-11-30")],
    "Walk every mon, wed and fri": ["Walk", rule("FREQ=WEEKLY;BYDAY=MO,WE,FR", "2026-11-30")],
    "Walk every 2 weeks on tue": ["Walk", rule("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", "2026-12-01")],
    "Pay every month": ["Pay", rule("monthly", "2026-11-30")],
    "Pay every 2 months": ["Pay", rule("FREQ=MONTHLY;INTERVAL=2;SKIP=BACKWARD", "2026-11-30")],
    "Pay every 1st": ["Pay", rule("FREQ=MONTHLY;BYMONTHDAY=1", "2026-12-01")],
    "Pay every last day": ["Pay", rule("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-11-30")],
    "Meet every 3rd friday": ["Meet", rule("FREQ=MONTHLY;BYDAY=3FR", "2026-12-18")],
    "Meet every last friday": ["Meet", rule("FREQ=MONTHLY;BYDAY=-1FR", "2026-12-25")],
    "Celebrate every 29 feb": ["Celebrate", rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2028-02-29")],
    "Walk every day until 1 mar": ["Walk", rule("FREQ=DAILY;UNTIL=20270301", "2026-11-30")],
    "Walk every tue 5 times": ["Walk", rule("FREQ=WEEKLY;BYDAY=TU;COUNT=5", "2026-12-01")],
    "Water every! 3 days": ["Water", { ...rule("FREQ=DAILY;INTERVAL=3", "2026-11-30"), repeat_from: "completion" }],
    "Read every page": ["Read every page", {}],
    "Walk every 401 days": ["Walk every 401 days", {}],
  });
});

describe("words of the title", () => {
  understands({
    "Read Monday's paper": ["Read Monday's paper", {}],
    "Read the Monday paper again": ["Read the Monday paper again", {}],
    "Plan Monday meeting tomorrow": ["Plan Monday meeting", { due_date: "2026-12-01" }],
    "May I go": ["May I go", {}],
    "Write constructor tests": ["Write constructor tests", {}],
    "The cat sat": ["The cat sat", {}],
    "Catch the sun": ["Catch the sun", {}],
    "Weekly report": ["Weekly report", {}],
    "Read Bible 3:16 and more": ["Read Bible 3:16 and more", {}],
    "Hear the noon bell ring": ["Hear the noon bell ring", {}],
    '"every monday" quiz': ['"every monday" quiz', {}],
    'Read "Today" today': ['Read "Today"', { due_date: "2026-11-30" }],
    "\\today show \\#1 \\!high": ["today show #1 !high", {}],
  });
});

test("a part that is ignored stays in the title", () => {
  const { title, fields } = parse("Sing Tomorrow #musical", ["Tomorrow"]);
  assert.equal(title, "Sing Tomorrow");
  assert.deepEqual(fields, { tags: ["musical"] });
});

test("spans say where each field was typed", () => {
  const text = "Call  next friday !high";
  assert.deepEqual(
    parse(text).spans.map(({ kind, start, end }) => [kind, text.slice(start, end)]),
    [
      ["date", "next friday"],
      ["priority", "!high"],
    ],
  );
});

test("a text without a title has its fields, and an empty title", () => {
  const { title, fields } = parse("tomorrow #home");
  assert.equal(title, "");
  assert.deepEqual(fields, { tags: ["home"], due_date: "2026-12-01" });
});

test("a task has at most twenty tags; further ones stay text", () => {
  const { title, fields } = parse(`x ${Array.from({ length: 21 }, (_, index) => `#tag${index}`).join(" ")}`);
  assert.equal(fields.tags?.length, 20);
  assert.equal(title, "x #tag20");
});
