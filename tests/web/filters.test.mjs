/** Addresses of the list, and the rows that they show. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { filterParams, isNarrowed, parseFilter } from "../../todo_api/web/page/tasks/filters.js";
import { TaskStore } from "../../todo_api/web/page/tasks/store.js";

const parse = (address) => parseFilter(new URLSearchParams(address));
const address = (text) => new URLSearchParams(filterParams(parse(text))).toString().replaceAll("%2C", ",");

/** Return a store with tasks of these fields, in this order. */
function storeOf(...all) {
  const tasks = all.map((fields, index) => ({
    id: index + 1,
    key: `k${index + 1}`,
    title: `Task ${index + 1}`,
    description: null,
    completed: false,
    completed_at: null,
    priority: "medium",
    due_date: null,
    tags: [],
    parent_id: null,
    position: `a${index + 1}`,
    created_at: "2026-11-01T00:00:00Z",
    updated_at: "2026-11-01T00:00:00Z",
    ...fields,
  }));
  const map = new Map(tasks.map((task) => [task.id, task]));
  return { map, store: new TaskStore({ tasks: map, get: (id) => map.get(id) }, () => "UTC") };
}

const day = (distance) => new Date(Date.now() + distance * 86_400_000).toISOString().slice(0, 10);
const nothing = { collapsed: new Set(), lingering: new Set() };
const shown = ({ rows }) => rows.map((row) => (row.kind === "heading" ? `${row.text}:` : `${"  ".repeat(row.level - 1)}${row.task.id}`));

describe("an address", () => {
  for (const text of ["", "view=today", "status=completed", "status=all", "view=trash", "priority=high,urgent", "tags=home&search=milk", "sort=-priority", "overdue=true", "view=upcoming&sort=title", "parent_id=none"]) {
    test(`“${text}” is that of its filter`, () => assert.equal(address(text), text));
  }
  test("keeps commas and backslashes in tags", () => {
    const { tags } = parse("tags=a%5C%2Cb,c%5C%5Cd");
    assert.deepEqual(tags, ["a,b", "c\\d"]);
    assert.deepEqual(parse(new URLSearchParams(filterParams(parse("tags=a%5C%2Cb,c%5C%5Cd"))).toString()).tags, tags);
  });
  test("may have the other names of the API", () => {
    assert.equal(address("q=milk&status=active&sort=newest"), "search=milk&sort=-created_at");
    assert.equal(address("completed=true"), "status=completed");
    assert.equal(address("sort=title&order=desc"), "sort=-title");
  });
  test("leaves out what is not valid", () => assert.equal(address("status=gone&priority=high,huge&sort=size&view=moon"), "priority=high"));
  test("narrows its view, or is the view", () => {
    assert.ok(isNarrowed(parse("view=today&priority=high")));
    assert.ok(!isNarrowed(parse("view=today&sort=title")));
  });
});

describe("the rows", () => {
  test("have open subtasks under their parents", () => {
    const { store } = storeOf({}, { parent_id: 3 }, {}, { parent_id: 3, completed: true });
    const { rows } = store.rows(parse(""), nothing);
    assert.deepEqual(shown({ rows }), ["1", "3", "  2"]);
    assert.deepEqual(rows[1].progress, { done: 1, total: 2 });
  });
  test("leave out the subtasks of a collapsed task, but count them", () => {
    const { store } = storeOf({}, { parent_id: 1 });
    const { rows, count } = store.rows(parse(""), { ...nothing, collapsed: new Set(["k1"]) });
    assert.deepEqual(shown({ rows }), ["1"]);
    assert.equal(rows[0].isExpanded, false);
    assert.equal(count, 2);
  });
  test("name the parent of a subtask that is listed without it", () => {
    const { store } = storeOf({ title: "Party" }, { title: "Bake a cake", parent_id: 1 });
    const [row] = store.rows(parse("search=cake"), nothing).rows;
    assert.equal(row.parent, "Party");
  });
  test("of today begin with what is overdue", () => {
    const { store } = storeOf({ due_date: day(0) }, { due_date: day(-1) }, { due_date: day(1) }, {});
    assert.deepEqual(shown(store.rows(parse("view=today"), nothing)), ["Overdue:", "2", "Today:", "1"]);
  });
  test("of later days are grouped by day", () => {
    const { store } = storeOf({ due_date: day(9) }, { due_date: day(8) }, { due_date: `${day(8)}T10:00:00Z` }, { due_date: day(0) });
    const { rows } = store.rows(parse("view=upcoming"), nothing);
    assert.deepEqual(rows.map((row) => (row.kind === "heading" ? row.count : row.task.id)), [2, 3, 2, 1, 1]);
  });
  test("keep a task for a moment after it was completed", () => {
    const { store } = storeOf({}, { completed: true });
    assert.deepEqual(shown(store.rows(parse(""), { ...nothing, lingering: new Set(["k2"]) })), ["1", "2"]);
  });
  test("follow the changes of the copy", () => {
    const { store, map } = storeOf({}, {}, {});
    assert.deepEqual(shown(store.rows(parse(""), nothing)), ["1", "2", "3"]);
    map.set(3, { ...map.get(3), position: "a0" });
    map.delete(1);
    map.set(4, { ...map.get(2), id: 4, key: "k4", position: "a01" });
    store.invalidate();
    assert.deepEqual(shown(store.rows(parse(""), nothing)), ["3", "4", "2"]);
  });
});

test("tags count their open tasks, and those of most tasks come first", () => {
  const { store } = storeOf({ tags: ["home"] }, { tags: ["Home", "work"], completed: true }, { tags: ["shop"] });
  assert.deepEqual(store.tags().map(({ name, count }) => [name, count]), [["Home", 1], ["shop", 1], ["work", 0]]);
});

test("views count their open tasks", () => {
  const { store } = storeOf({ due_date: day(-1) }, { due_date: day(0) }, { due_date: day(1) }, {}, { completed: true, due_date: day(0) });
  assert.deepEqual(store.counts(), { all: 4, today: 2, upcoming: 1, overdue: 1 });
});
