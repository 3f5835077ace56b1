/** The writes that a page has left before they were stored. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { release, remember, remembered } from "../../todo_api/web/client/offline-journal.js";

/** A storage whose keys are its properties, as in a browser. */
class Kept {
  getItem(key) {
    return this[key] ?? null;
  }
  setItem(key, value) {
    this[key] = value;
  }
  removeItem(key) {
    delete this[key];
  }
}

test("what was not stored is remembered in its order, until it is", () => {
  const localStorage = new Kept();
  globalThis.window = { localStorage };
  const writes = ["a1", "a2"].map((order) => ({ order, kind: "create" }));
  remember("ada", writes[1]);
  remember("ada", writes[0]);
  remember("grace", { order: "a0" });
  assert.deepEqual(remembered("ada"), writes);
  release("ada", writes[0]);
  assert.deepEqual(remembered("ada"), [writes[1]]);
  localStorage.setItem("ada:a0", "{damaged");
  assert.deepEqual(remembered("ada"), [writes[1]]);
  delete globalThis.window;
});
