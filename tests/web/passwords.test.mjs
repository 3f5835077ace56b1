/** The rules for new passwords, as the page tells them before the service is asked. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { assessPassword, checkPassword } from "../../todo_api/web/page/account/passwords.js";
import { TodoClient } from "../../todo_api/web/client/todo.js";
import { memory, url } from "./support.mjs";

test("a password has 8 to 128 characters", () => {
  assert.equal(checkPassword("a".repeat(7)), "Password must have at least 8 characters.");
  assert.equal(checkPassword("a".repeat(8)), null);
  assert.equal(checkPassword("a".repeat(128)), null);
  assert.equal(checkPassword("a".repeat(129)), "Password must have at most 128 characters.");
});

test("a character counts once, however it is composed", () => {
  assert.equal(checkPassword("e\u0301".repeat(7)), checkPassword("é".repeat(7)));
  assert.notEqual(checkPassword("e\u0301".repeat(7)), null);
  assert.notEqual(checkPassword("😀".repeat(7)), null);
  assert.equal(checkPassword("😀".repeat(8)), null);
});

test("the service says the same about a password that is too short", async () => {
  const client = new TodoClient({ url, storage: memory() });
  const account = { name: "Ada", email: "ada@example.com", password: "a".repeat(7) };
  await assert.rejects(client.register(account), (error) => {
    assert.equal(error.errors[0].message, checkPassword(account.password));
    return true;
  });
});

test("while a password is typed, a hint says what is missing", () => {
  assert.equal(assessPassword("a".repeat(6)), "2 more characters are needed.");
  assert.equal(assessPassword("a".repeat(7)), "1 more character is needed.");
  assert.match(assessPassword("a".repeat(8)), /^Long enough\./);
  assert.match(assessPassword("a".repeat(15)), /hard to guess/);
});
