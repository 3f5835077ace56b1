/** The copy while its service is killed and started again. This test runs its own service. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OfflineTasks, TodoClient } from "../../todo_api/web/client/todo.js";
import { collect, memory, password, until } from "./support.mjs";

let folder;
let port;
let service;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "todo-"));
  port = await freePort();
  await start();
});

after(async () => {
  await kill();
  await rm(folder, { recursive: true });
});

test("what is written while the service is down is sent when it is back", { timeout: 60_000 }, async () => {
  const url = `http://127.0.0.1:${port}`;
  const client = new TodoClient({ url, storage: memory() });
  await client.register({ name: "Ada", email: "ada@example.com", password });
  const offline = await OfflineTasks.open(client);
  offline.create({ title: "Milk" });
  await offline.sync();
  assert.equal(offline.state, "online");
  await kill();
  await until(offline, "state", () => offline.state === "offline");
  offline.create({ title: "Oats" });
  await start();
  await until(offline, "state", () => offline.state === "online" && offline.pending === 0);
  assert.deepEqual((await collect(client.tasks.list())).map(({ title }) => title), ["Oats", "Milk"]);
  const other = new TodoClient({ url, storage: memory() });
  await other.login({ email: "ada@example.com", password });
  await other.tasks.create({ title: "Rice" });
  await until(offline, "change", () => offline.tasks.size === 3);
  offline.close();
});

async function start() {
  const { PATH } = process.env;
  const env = { PATH, TODO_PASSWORD_BCRYPT_COST: "4" };
  service = spawn(process.env.TODO_COMMAND, ["serve", "--port", String(port)], { cwd: folder, env, stdio: "ignore" });
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (response?.ok) return;
    assert.equal(service.exitCode, null);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function kill() {
  const exited = new Promise((resolve) => service.once("exit", resolve));
  service.kill("SIGKILL");
  await exited;
}

/** A port that nothing listens on. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
