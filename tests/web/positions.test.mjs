/** Provisional positions: always between their neighbours, in the order of ASCII. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { byPosition, positionBetween, positionOfNewTask } from "../../todo_api/web/client/positions.js";

const NOW = Date.UTC(2026, 10, 30) * 1000;

test("there is a position between any two, however many were put there before", () => {
  const positions = [positionOfNewTask(NOW), positionOfNewTask(NOW - 1), "a0", "a0V", "a1"];
  for (let number = 0; number < 500; number += 1) {
    const place = (number * 7919) % (positions.length - 1);
    const [after, before] = positions.slice(place, place + 2);
    const found = positionBetween(after, before);
    assert.ok(after < found && found < before, `${after} < ${found} < ${before}`);
    assert.ok(!found.endsWith("0"));
    positions.splice(place + 1, 0, found);
  }
});

test("there is a position before the first and after the last", () => {
  const first = positionOfNewTask(NOW);
  assert.ok(positionBetween("", first) < first);
  assert.ok(positionBetween(first, null) > first);
});

test("a new task comes before all older ones", () => {
  assert.ok(positionOfNewTask(NOW + 1) < positionOfNewTask(NOW));
  assert.ok(positionOfNewTask(NOW) < "a0");
  assert.equal(positionOfNewTask(NOW).length, 16);
});

test("of tasks with the same position, the id decides", () => {
  const tasks = [{ position: "a1", id: 1 }, { position: "a0", id: 3 }, { position: "a0", id: 2 }];
  assert.deepEqual(tasks.sort(byPosition).map(({ id }) => id), [2, 3, 1]);
});
