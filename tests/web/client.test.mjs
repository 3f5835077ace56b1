/** The account and the tasks of a user, each method against a running service. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError, OfflineError, TodoClient, TodoError } from "../../todo_api/web/client/todo.js";
import { collect, memory, network, next, password, problem, register, signIn, url } from "./support.mjs";

test("a user registers, is known to the next page, and signs out", async () => {
  const storage = memory();
  const { client, email } = await register({ storage });
  assert.equal(client.user.email, email);
  const reloaded = new TodoClient({ url, storage });
  assert.equal(reloaded.user.id, client.user.id);
  const told = next(reloaded, "session");
  await reloaded.logout();
  assert.deepEqual(await told, { user: null, reason: "signed-out" });
  assert.equal(client.user, null);
  await assert.rejects(client.tasks.stats(), { status: 401, code: "not_signed_in" });
});

test("a wrong password is an error with a sentence for the user", async () => {
  const { email } = await register();
  const client = new TodoClient({ url });
  await assert.rejects(client.login({ email, password: "another sentence" }), (error) => {
    assert.ok(error instanceof TodoError);
    assert.equal(error.code, "invalid_credentials");
    assert.match(error.detail, /^[A-Z].*\.$/);
    assert.ok(error.requestId);
    return true;
  });
});

test("the fields of a form learn what is wrong with them", async () => {
  const client = new TodoClient({ url });
  await assert.rejects(client.register({ name: "", email: "ada", password: "short" }), ({ status, errors }) => {
    assert.equal(status, 422);
    assert.deepEqual(errors.map((each) => each.pointer).sort(), ["/email", "/name", "/password"]);
    return true;
  });
});

test("the profile is changed, and told of", async () => {
  const { client } = await register();
  const told = next(client, "profile");
  const profile = await client.updateProfile({ name: "Grace", time_zone: "Europe/Berlin" });
  assert.equal(profile.time_zone, "Europe/Berlin");
  assert.equal((await told).user.name, "Grace");
  assert.equal(client.user.name, "Grace");
  assert.deepEqual(await client.profile(), profile);
});

test("sessions are listed and revoked", async () => {
  const { client, email } = await register();
  const [other, third] = [await signIn(email), await signIn(email)];
  const sessions = await client.sessions();
  assert.equal(sessions.length, 3);
  await other.revokeSession(sessions.find((each) => each.current).id);
  await assert.rejects(client.profile(), { status: 401 });
  assert.equal(client.user, null);
  await third.revokeOtherSessions();
  assert.equal((await third.sessions()).length, 1);
});

test("a password is changed, and the account is exported and deleted", async () => {
  const { client, email } = await register();
  await client.tasks.create({ title: "Buy milk" });
  await client.changePassword(password, "another long sentence");
  const exported = JSON.parse(await (await client.exportAccount()).text());
  assert.equal(exported.tasks[0].title, "Buy milk");
  await client.forgotPassword(email);
  await assert.rejects(client.resetPassword("no-token", password), { code: "invalid_reset_token" });
  await assert.rejects(client.deleteAccount("a wrong sentence"), { status: 422 });
  await client.deleteAccount("another long sentence");
  assert.equal(client.user, null);
});

test("a task is created, read, changed, completed, moved, deleted and restored", async () => {
  const { client } = await register();
  const { tasks } = client;
  const milk = await tasks.create({ title: "Milk", tags: ["home"], due_date: "2099-01-31" });
  const rice = await tasks.create({ title: "Rice", parent_id: milk.id });
  const oats = await tasks.update(milk, { title: "Oats" });
  assert.deepEqual(await tasks.get(milk.id), oats);
  assert.equal((await tasks.complete(oats.id)).completed, true);
  assert.equal((await tasks.get(rice.id)).completed, true);
  assert.equal((await tasks.complete(milk.id, false)).status, "pending");
  assert.equal((await tasks.move(rice.id, { parent_id: null, after: milk.id })).parent_id, null);
  await tasks.delete(milk.id);
  assert.deepEqual((await tasks.page({ deleted: true })).tasks.map((each) => each.id), [milk.id]);
  assert.equal((await tasks.restore(milk.id)).title, "Oats");
  await tasks.delete(rice.id, { permanent: true });
  await assert.rejects(tasks.restore(rice.id), { status: 404 });
  assert.deepEqual(await tasks.tags(), [{ name: "home", count: 1 }]);
});

test("many tasks are changed at once, reordered and counted", async () => {
  const { client } = await register();
  const { tasks } = client;
  const results = await tasks.bulk(["a", "b", "c"].map((title) => ({ create: { title } })));
  const ids = results.map((result) => result.task.id);
  assert.deepEqual((await tasks.reorder(ids)).map((task) => task.id), ids);
  assert.equal(await tasks.completeAll({ search: "a" }), 1);
  assert.deepEqual(await tasks.stats(), { total: 3, pending: 2, completed: 1, overdue: 0 });
  assert.equal(await tasks.deleteAll({ completed: false }), 2);
});

test("a list follows its pages, and a filter has the values of the API", async () => {
  const { client } = await register();
  const { tasks } = client;
  const titles = ["a", "b", "c", "d", "e"];
  await tasks.bulk(titles.map((title) => ({ create: { title, tags: ["at home, or not"] } })));
  const filter = { tags: ["at home, or not"], sort: "title", limit: 2, search: null };
  assert.deepEqual((await collect(tasks.list(filter))).map((task) => task.title), titles);
  const first = await tasks.page({ ...filter, count: true });
  assert.equal(first.total, 5);
  const second = await tasks.page({ ...filter, cursor: first.next });
  assert.deepEqual(second.tasks.map((task) => task.title), ["c", "d"]);
  assert.equal((await tasks.page({ created_after: new Date(Date.now() + 60_000) })).tasks.length, 0);
});

test("a list with an envelope is read like an array", async () => {
  const { fetch, fail } = network();
  const { client } = await register({ fetch });
  fail(Response.json({ tasks: [{ id: 1 }], total: 1 }), ({ method }) => method === "GET");
  assert.deepEqual(await collect(client.tasks.list()), [{ id: 1 }]);
});

test("a change of an older version is a conflict with the current task", async () => {
  const { client } = await register();
  const milk = await client.tasks.create({ title: "Milk" });
  const oats = await client.tasks.update(milk, { title: "Oats" });
  await assert.rejects(client.tasks.update(milk, { title: "Rice" }), (error) => {
    assert.ok(error instanceof ConflictError);
    assert.equal(error.code, "stale_version");
    assert.deepEqual(error.current, oats);
    return true;
  });
  await assert.rejects(client.tasks.delete(milk), ConflictError);
});

test("a write whose response is lost takes effect once", async () => {
  const { fetch, fail, requests } = network();
  const { client } = await register({ fetch });
  fail("lose");
  const milk = await client.tasks.create({ title: "Milk" });
  const sent = requests.filter(({ url }) => url.pathname.endsWith("/tasks"));
  assert.equal(sent.length, 2);
  assert.equal(new Set(sent.map(({ headers }) => headers.get("Idempotency-Key"))).size, 1);
  assert.deepEqual(await collect(client.tasks.list()), [milk]);
});

test("temporary errors are tried again, no sooner than the service asks", async () => {
  const { fetch, fail, requests } = network();
  const { client } = await register({ fetch });
  fail(problem(503, "unavailable", { "Retry-After": "1" }));
  fail(problem(409, "idempotency_in_progress"));
  fail(new Response("<h1>Bad gateway</h1>", { status: 502 }));
  const before = requests.length;
  const started = performance.now();
  await client.tasks.create({ title: "Milk" });
  assert.equal(requests.length - before, 4);
  assert.ok(performance.now() - started >= 1000);
});

test("a user need not wait for minutes", async () => {
  const { fetch, fail, requests } = network();
  const { client } = await register({ fetch });
  fail(problem(429, "rate_limited", { "Retry-After": "60" }));
  const before = requests.length;
  await assert.rejects(client.tasks.create({ title: "Milk" }), { code: "rate_limited", retryAfter: 60 });
  assert.equal(requests.length - before, 1);
});

test("when no more keys are kept, a write is sent once without a key", async () => {
  const { fetch, fail, requests } = network();
  const { client } = await register({ fetch });
  fail(problem(429, "too_many_kept_responses", { "Retry-After": "3600" }));
  await client.tasks.create({ title: "Milk" });
  assert.equal(requests.at(-1).headers.get("Idempotency-Key"), null);
});

test("without a connection a request ends after a few tries", async () => {
  const { fetch, goOffline, requests } = network();
  const { client } = await register({ fetch });
  goOffline();
  const before = requests.length;
  await assert.rejects(client.tasks.stats(), OfflineError);
  assert.equal(requests.length - before, 4);
  await client.logout();
  assert.equal(client.user, null);
});

test("a page that is not the service counts as no connection", async () => {
  const { fetch, fail } = network();
  const { client } = await register({ fetch });
  for (let count = 0; count < 4; count += 1) fail(new Response("<h1>Welcome to our Wi-Fi</h1>"));
  await assert.rejects(client.tasks.stats(), OfflineError);
});

test("two tabs refresh their tokens once", async () => {
  const storage = memory();
  const { fetch, count } = network();
  const { client } = await register({ storage, fetch });
  const other = new TodoClient({ url, storage, fetch });
  storage.change({ renew: 0 });
  await Promise.all([client, other, client].map((each) => each.tasks.stats()));
  assert.equal(count("/refresh"), 1);
  storage.change({ renew: 0 });
  await other.tasks.stats();
  assert.equal(count("/refresh"), 2);
});

test("a token that the service refuses is refreshed once", async () => {
  const storage = memory();
  const { fetch, count } = network();
  const { client } = await register({ storage, fetch });
  storage.change({ access: "invalid" });
  assert.equal((await client.tasks.stats()).total, 0);
  assert.equal(count("/refresh"), 1);
});

test("a refresh whose response is lost is sent again", async () => {
  const storage = memory();
  const { fetch, fail, count } = network();
  const { client } = await register({ storage, fetch });
  storage.change({ access: "invalid" });
  fail("lose", ({ url }) => url.pathname.endsWith("/refresh"));
  assert.equal((await client.tasks.stats()).total, 0);
  assert.equal(count("/refresh"), 2);
});

test("a token that is still valid serves while it cannot be refreshed", async () => {
  const storage = memory();
  const { fetch, fail } = network();
  const { client } = await register({ storage, fetch });
  storage.change({ renew: 0 });
  for (let tries = 0; tries < 2; tries += 1) fail("refuse", ({ url }) => url.pathname.endsWith("/refresh"));
  assert.equal((await client.tasks.stats()).total, 0);
});

test("a session that cannot be refreshed has expired", async () => {
  const storage = memory();
  const { client } = await register({ storage });
  storage.change({ access: "invalid", refresh: "invalid" });
  const told = next(client, "session");
  await assert.rejects(client.tasks.stats(), { status: 401 });
  assert.deepEqual(await told, { user: null, reason: "expired" });
  assert.equal(new TodoClient({ url, storage }).user, null);
});

/** A storage with the session of one user, and a fetch during which the next one signs in. */
function replaced(respond, { renew = Date.now() + 3_600_000, next = "grace" } = {}) {
  const storage = memory();
  const key = `todo:${url}/`;
  const sessionOf = (id, access, renew) =>
    JSON.stringify({ user: { id }, access, refresh: access, until: Date.now() + 3_600_000, renew });
  storage.setItem(key, sessionOf("ada", "first", renew));
  const fetch = async () => {
    storage.setItem(key, sessionOf(next, "second", Date.now() + 3_600_000));
    return respond();
  };
  return new TodoClient({ url: `${url}/`, storage, fetch });
}

const tokens = () => Response.json({ access_token: "a", refresh_token: "r", expires_in: 60 });
for (const [name, respond, use, options] of [
  ["a sign-out", () => new Response(null, { status: 204 }), (client) => client.logout()],
  ["a deletion", () => new Response(null, { status: 204 }), (client) => client.deleteAccount("x")],
  ["a deleted account", () => problem(401, "account_gone"), (client) => client.profile()],
  ["a refused refresh", () => problem(401, "invalid_token"), (client) => client.profile(), { renew: 0 }],
  ["a refresh", tokens, (client) => client.profile(), { renew: 0 }],
]) {
  test(`${name} ends no session of another user, who has signed in meanwhile`, async () => {
    const client = replaced(respond, options);
    assert.equal(client.user?.id, "ada");
    let told = 0;
    client.addEventListener("session", () => (told += 1));
    await use(client).catch(({ status }) => assert.equal(status, 401));
    assert.deepEqual([client.user?.id, told], ["grace", 0]);
  });
}

test("a refused refresh does not end the session of a user who has signed in again", async () => {
  const client = replaced(() => problem(401, "invalid_token"), { renew: 0, next: "ada" });
  await assert.rejects(client.profile(), { status: 401 });
  assert.equal(client.user?.id, "ada");
});
