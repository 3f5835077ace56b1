/** Where tasks go when they are dropped or moved by keys. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { dropPlace, nearestDrop, stepPlace, withoutBlock } from "../../todo_api/web/page/tasks/places.js";

/** The list: 1, 2 with the subtasks 21 and 22, 3. */
const ROWS = [row(1), row(2, null, 2), row(21, 2), row(22, 2), row(3)];

function row(id, parent = null, subtasks = 0) {
  const progress = subtasks > 0 ? { done: 0, total: subtasks } : null;
  return { kind: "task", key: `k${id}`, level: parent === null ? 1 : 2, task: { id, parent_id: parent }, progress };
}

test("a task moves together with its subtasks", () => {
  const { others, at, size } = withoutBlock(ROWS, "k2");
  assert.deepEqual(others.map(({ task }) => task.id), [1, 3]);
  assert.deepEqual([at, size], [1, 3]);
});

describe("a drop", () => {
  const drop = (id, index, level) => dropPlace(ROWS, `k${id}`, { index, level });

  test("before another task names it", () => assert.deepEqual(drop(3, 0, 1), { before: 1 }));
  test("at the end names the last task before it", () => assert.deepEqual(drop(1, 4, 1), { after: 3 }));
  test("at the end of a list that ends with subtasks names their parent", () => {
    assert.deepEqual(dropPlace(ROWS.slice(0, 4), "k1", { index: 3, level: 1 }), { after: 2 });
  });
  test("into a family names the parent and a neighbour", () => {
    assert.deepEqual(drop(3, 2, 2), { before: 21, parent_id: 2 });
    assert.deepEqual(drop(1, 3, 2), { after: 22, parent_id: 2 });
  });
  test("below a task without subtasks names the parent alone", () => {
    assert.deepEqual(drop(3, 1, 2), { parent_id: 1 });
  });
  test("among its own siblings keeps the parent", () => assert.deepEqual(drop(22, 2, 2), { before: 21 }));
  test("out of its family ends it", () => assert.deepEqual(drop(22, 0, 1), { before: 1, parent_id: null }));
  test("where it was changes nothing", () => {
    assert.equal(drop(3, 4, 1), null);
    assert.equal(drop(21, 2, 2), null);
  });
});

describe("the nearest possible drop", () => {
  test("does not tear a family apart", () => {
    const { others } = withoutBlock(ROWS, "k3");
    assert.deepEqual(nearestDrop(others, { index: 2, level: 1 }, true), { index: 2, level: 2 });
    assert.deepEqual(nearestDrop(others, { index: 2, level: 1 }, false), { index: 4, level: 1 });
  });
  test("is no subtask at the beginning of the list", () => {
    assert.deepEqual(nearestDrop(ROWS.slice(1), { index: 0, level: 2 }, true), { index: 0, level: 1 });
  });
  test("is a subtask only if the task has none itself", () => {
    assert.deepEqual(nearestDrop([row(1), row(3)], { index: 1, level: 2 }, true), { index: 1, level: 2 });
    assert.deepEqual(nearestDrop([row(1), row(3)], { index: 1, level: 2 }, false), { index: 1, level: 1 });
  });
});

describe("a key", () => {
  const step = (id, direction) => stepPlace(ROWS, `k${id}`, direction);

  test("moves a task over a family", () => {
    assert.deepEqual(step(3, "up"), { before: 2 });
    assert.deepEqual(step(1, "down"), { after: 2 });
    assert.deepEqual(step(2, "down"), { after: 3 });
  });
  test("moves a subtask among its siblings", () => {
    assert.deepEqual(step(22, "up"), { before: 21 });
    assert.deepEqual(step(21, "down"), { after: 22 });
    assert.equal(step(21, "up"), null);
    assert.equal(step(22, "down"), null);
  });
  test("makes a task a subtask of the one before it, after its last one", () => {
    assert.deepEqual(step(3, "in"), { parent_id: 2, after: 22 });
    assert.equal(step(1, "in"), null);
    assert.equal(step(2, "in"), null);
  });
  test("takes a subtask out of its family, to the place after its parent", () => {
    assert.deepEqual(step(21, "out"), { parent_id: null, after: 2 });
    assert.equal(step(1, "out"), null);
  });
  test("does nothing at the ends of the list", () => {
    assert.equal(step(1, "up"), null);
    assert.equal(step(3, "down"), null);
  });
});
