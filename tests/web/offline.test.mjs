/** The copy that works offline: its queue, its conflicts, and several tabs. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { OfflineTasks, TodoClient } from "../../todo_api/web/client/todo.js";
import { collect, memory, network, next, problem, register, signIn, until, url } from "./support.mjs";

const TIMEOUT = { timeout: 30_000 };
const copies = [];

// Those of tests that have failed would keep the process alive.
after(() => copies.forEach((copy) => copy.close()));

async function open(client) {
  const copy = await OfflineTasks.open(client);
  copies.push(copy);
  return copy;
}

/** A user whose copy is loaded, and a second device of theirs. */
async function opened() {
  const storage = memory();
  const net = network();
  const { client, email } = await register({ storage, fetch: net.fetch });
  const writer = await signIn(email);
  const offline = await open(client);
  await offline.sync();
  const reload = async () => {
    offline.close();
    return await open(new TodoClient({ url, storage, fetch: net.fetch }));
  };
  return { offline, net, client, writer, reload, storage };
}

const titles = (offline) => [...offline.tasks.values()].map(({ title }) => title).sort();

test("a task is there at once, and keeps its key when it is stored", TIMEOUT, async () => {
  const { offline, writer } = await opened();
  const milk = offline.create({ title: " Milk ", due_date: "2099-01-31" });
  assert.ok(milk.id < 0);
  assert.deepEqual([milk.title, milk.priority, milk.pending, offline.pending], ["Milk", "medium", true, 1]);
  const replaced = new Promise((resolve) => {
    offline.addEventListener("change", ({ detail }) => detail.replaced.size && resolve(detail.replaced));
  });
  await offline.sync();
  const stored = offline.get(milk.id);
  assert.equal((await replaced).get(milk.id), stored.id);
  assert.deepEqual([stored.key, stored.pending, offline.pending], [milk.key, false, 0]);
  assert.equal((await writer.tasks.get(stored.id)).due_date, "2099-01-31");
  offline.close();
});

test("what others change arrives", TIMEOUT, async () => {
  const { offline, writer } = await opened();
  const milk = await writer.tasks.create({ title: "Milk" });
  await until(offline, "change", () => offline.tasks.size === 1);
  await writer.tasks.delete(milk);
  await until(offline, "change", () => offline.tasks.size === 0);
  offline.close();
});

test("writes wait for a connection, survive a reload, and are sent in their order", TIMEOUT, async () => {
  const { offline, net, writer, reload } = await opened();
  net.goOffline();
  const party = offline.create({ title: "Party" });
  const cake = offline.create({ title: "Cake", parent_id: party.id });
  offline.update(party.id, { title: "Big party", priority: "high" });
  offline.update(party.id, { description: "On Friday" });
  offline.complete(cake.id);
  offline.delete(offline.create({ title: "Mistake" }).id);
  await offline.sync();
  assert.deepEqual([offline.state, offline.pending], ["offline", 7]);
  const reloaded = await reload();
  assert.deepEqual([titles(reloaded), reloaded.pending], [["Big party", "Cake"], 7]);
  assert.equal(reloaded.get(cake.id).parent_id, party.id);
  net.goOnline();
  await reloaded.sync();
  assert.deepEqual([reloaded.state, reloaded.pending], ["online", 0]);
  const stored = await collect(writer.tasks.list({ sort: "title" }));
  assert.deepEqual(
    stored.map(({ title, description, completed, parent_id }) => [title, description, completed, parent_id]),
    [["Big party", "On Friday", false, null], ["Cake", null, true, stored[0].id]],
  );
  assert.deepEqual(titles(reloaded), ["Big party", "Cake"]);
  reloaded.close();
});

test("a write whose response is lost takes effect once, also after a reload", TIMEOUT, async () => {
  const { offline, net, writer, reload } = await opened();
  const isWrite = ({ method }) => method === "POST";
  net.fail("lose", isWrite);
  net.fail("refuse", isWrite);
  offline.create({ title: "Milk" });
  await offline.sync();
  assert.equal(offline.pending, 1);
  assert.equal((await writer.tasks.page()).tasks.length, 1);
  const reloaded = await reload();
  await reloaded.sync();
  assert.deepEqual([titles(reloaded), reloaded.pending], [["Milk"], 0]);
  assert.equal((await writer.tasks.page()).tasks.length, 1);
  reloaded.close();
});

test("completing and deleting take subtasks along, and deleting can be undone", TIMEOUT, async () => {
  const { offline, writer } = await opened();
  const party = offline.create({ title: "Party" });
  const cake = offline.create({ title: "Cake", parent_id: party.id });
  offline.complete(party.id);
  assert.deepEqual([offline.get(cake.id).completed, offline.get(cake.id).status], [true, "completed"]);
  await offline.sync();
  offline.delete(party.id);
  assert.equal(offline.tasks.size, 0);
  await offline.sync();
  assert.equal((await writer.tasks.page()).tasks.length, 0);
  offline.restore(party.id);
  assert.deepEqual(titles(offline), ["Cake", "Party"]);
  offline.update(party.id, { title: "Big party" });
  await offline.sync();
  assert.deepEqual([titles(offline), offline.pending], [["Big party", "Cake"], 0]);
  assert.equal((await writer.tasks.page()).tasks.length, 2);
  offline.close();
});

test("a task is moved at once to where the service puts it", TIMEOUT, async () => {
  const { offline } = await opened();
  const [a, b, c] = ["a", "b", "c"].map((title) => offline.create({ title }));
  const order = () => {
    const sorted = [...offline.tasks.values()].sort((one, other) => (one.position < other.position ? -1 : 1));
    return sorted.map(({ title }) => title).join(" ");
  };
  assert.equal(order(), "c b a");
  offline.move(a.id, { before: c.id });
  assert.equal(order(), "a c b");
  offline.move(c.id, { after: b.id });
  offline.move(a.id, { after: b.id });
  assert.equal(order(), "b a c");
  offline.move(c.id, { before: a.id, parent_id: b.id });
  assert.equal(offline.get(c.id).parent_id, b.id);
  await offline.sync();
  assert.equal(order(), "b c a");
  assert.equal(offline.get(c.id).parent_id, offline.get(b.id).id);
  offline.close();
});

test("changes of different fields are merged", TIMEOUT, async () => {
  const { offline, net, writer } = await opened();
  const { id } = await writer.tasks.create({ title: "Milk" });
  await until(offline, "change", () => offline.tasks.size === 1);
  net.goOffline();
  offline.update(id, { title: "Oats" });
  offline.update(id, { title: "Oat milk" });
  offline.complete(id);
  await writer.tasks.update(id, { description: "Two litres" });
  net.goOnline();
  await offline.sync();
  const { title, description, completed } = offline.get(id);
  assert.deepEqual([title, description, completed], ["Oat milk", "Two litres", true]);
  assert.deepEqual(withoutLocal(await writer.tasks.get(id)), withoutLocal(offline.get(id)));
  offline.close();
});

test("changes of the same field are a conflict, which can be decided", TIMEOUT, async () => {
  const { offline, net, writer } = await opened();
  const { id } = await writer.tasks.create({ title: "Milk" });
  await until(offline, "change", () => offline.tasks.size === 1);
  net.goOffline();
  offline.update(id, { title: "Oats" });
  await writer.tasks.update(id, { title: "Rice" });
  const told = next(offline, "conflict");
  net.goOnline();
  await offline.sync();
  const { write, current, retry } = await told;
  assert.deepEqual([write.body, current.title, offline.get(id).title], [{ title: "Oats" }, "Rice", "Rice"]);
  retry();
  await offline.sync();
  assert.equal((await writer.tasks.get(id)).title, "Oats");
  offline.close();
});

test("a change of a deleted task is a conflict, and brings it back", TIMEOUT, async () => {
  const { offline, net, writer } = await opened();
  const { id } = await writer.tasks.create({ title: "Milk" });
  await until(offline, "change", () => offline.tasks.size === 1);
  net.goOffline();
  offline.update(id, { title: "Oats" });
  await writer.tasks.delete(id);
  const told = next(offline, "conflict");
  net.goOnline();
  await offline.sync();
  const { current, retry } = await told;
  assert.deepEqual([current, offline.get(id)], [null, undefined]);
  retry();
  await offline.sync();
  assert.equal((await writer.tasks.get(id)).title, "Oats");
  offline.close();
});

test("what was changed elsewhere survives a deletion that is undone", TIMEOUT, async () => {
  const { offline, net, writer } = await opened();
  const { id } = await writer.tasks.create({ title: "Milk", tags: ["shop"] });
  await until(offline, "change", () => offline.tasks.size === 1);
  net.goOffline();
  offline.delete(id);
  offline.restore(id);
  offline.update(id, { tags: ["home"] });
  await writer.tasks.update(id, { tags: ["work"] });
  const told = next(offline, "conflict");
  net.goOnline();
  await offline.sync();
  const { write, current } = await told;
  assert.deepEqual([write.body, current.tags], [{ tags: ["home"] }, ["work"]]);
  assert.deepEqual((await writer.tasks.get(id)).tags, ["work"]);
  offline.close();
});

test("a deleted task that was changed meanwhile is kept", TIMEOUT, async () => {
  const { offline, net, writer } = await opened();
  const { id } = await writer.tasks.create({ title: "Milk" });
  await until(offline, "change", () => offline.tasks.size === 1);
  net.goOffline();
  offline.delete(id);
  await writer.tasks.update(id, { description: "The last thing I know" });
  const told = next(offline, "conflict");
  net.goOnline();
  await offline.sync();
  assert.equal((await told).current.description, "The last thing I know");
  assert.equal(titles(offline)[0], "Milk");
  offline.close();
});

test("a write that is refused is undone, with those that need it", TIMEOUT, async () => {
  const { offline, writer } = await opened();
  const told = next(offline, "refused");
  const long = offline.create({ title: "x".repeat(201) });
  offline.create({ title: "Part", parent_id: long.id });
  offline.create({ title: "Milk" });
  const { write, error } = await told;
  assert.deepEqual([write.kind, error.status, error.errors[0].pointer], ["create", 422, "/title"]);
  await offline.sync();
  assert.deepEqual([titles(offline), offline.pending], [["Milk"], 0]);
  assert.equal((await writer.tasks.page()).tasks.length, 1);
  offline.close();
});

test("a write that always fails does not hold up the others indefinitely", { timeout: 60_000 }, async () => {
  const { offline, net } = await opened();
  for (let count = 0; count < 6; count += 1) net.fail(problem(500, "internal_error"), ({ method }) => method === "POST");
  const told = next(offline, "refused");
  offline.create({ title: "Milk" });
  offline.create({ title: "Oats" });
  for (let count = 0; count < 6; count += 1) await offline.sync();
  assert.equal((await told).error.status, 500);
  await offline.sync();
  assert.deepEqual([titles(offline), offline.pending], [["Oats"], 0]);
  offline.close();
});

test("two tabs show the same, and one of them sends", TIMEOUT, async () => {
  const { offline, net, storage, client } = await opened();
  const second = await open(new TodoClient({ url, storage, fetch: net.fetch }));
  const milk = second.create({ title: "Milk" });
  await second.sync();
  assert.deepEqual([second.pending, second.get(milk.id).pending], [0, false]);
  assert.deepEqual(withoutLocal(second.get(milk.id)), withoutLocal(offline.get(milk.id)));
  assert.equal(net.count(`/api/${client.user.id}/tasks`), 1);
  offline.update(offline.get(milk.id).id, { title: "Oats" });
  await until(second, "change", () => second.get(milk.id).title === "Oats");
  offline.close();
  second.complete(milk.id);
  await second.sync();
  assert.deepEqual([second.pending, second.get(milk.id).completed], [0, true]);
  second.close();
});

test("another user's session sends nothing of the queue", TIMEOUT, async () => {
  const { offline, net, client, storage } = await opened();
  net.goOffline();
  offline.create({ title: "Milk" });
  await offline.sync();
  const other = await register({ storage });
  net.goOnline();
  assert.equal(client.user.id, other.client.user.id);
  await offline.sync();
  assert.equal(offline.pending, 1);
  assert.equal((await other.client.tasks.stats()).total, 0);
  offline.close();
});

test("the copy of a user is forgotten", TIMEOUT, async () => {
  const { offline, net, client, storage } = await opened();
  offline.create({ title: "Milk" });
  await offline.sync();
  offline.close();
  await OfflineTasks.forget(client.user.id);
  net.goOffline();
  const empty = await open(new TodoClient({ url, storage, fetch: net.fetch }));
  assert.equal(empty.tasks.size, 0);
  empty.close();
});

function withoutLocal({ key, pending, ...task }) {
  return Object.fromEntries(Object.entries(task).sort());
}
