/** Following the changes of a user's tasks. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { memory, network, problem, register, signIn } from "./support.mjs";

const TIMEOUT = { timeout: 30_000 };
const ended = new AbortController();
const isStream = ({ url }) => url.pathname.endsWith("/events");

// Those of tests that have failed would keep the process alive.
after(() => ended.abort());

/** A response of which nothing arrives. */
function silent({ signal }) {
  const start = (controller) => signal.addEventListener("abort", () => controller.error(signal.reason));
  return new Response(new ReadableStream({ start }));
}

/** Read results until one of them satisfies, and return it. */
async function read(changes, satisfies = () => true) {
  for (;;) {
    const { value, done } = await changes.next();
    assert.ok(!done);
    if (satisfies(value)) return value;
  }
}

const has = (title) => ({ changes }) => changes.some(({ task }) => task?.title === title);

async function following(options = {}) {
  const { client, email } = await register(options);
  const writer = await signIn(email);
  const stop = new AbortController();
  ended.signal.addEventListener("abort", () => stop.abort());
  return { client, writer, stop, changes: client.tasks.changes({ signal: stop.signal }) };
}

test("the first results are all tasks, and then each change", TIMEOUT, async () => {
  const { writer, stop, changes } = await following();
  const milk = await writer.tasks.create({ title: "Milk" });
  const first = await read(changes);
  assert.deepEqual([first.reset, first.more], [true, false]);
  assert.deepEqual(first.changes[0].task, milk);
  const waiting = read(changes);
  await writer.tasks.delete(milk);
  const second = await waiting;
  assert.equal(second.reset, false);
  assert.deepEqual([second.changes[0].id, second.changes[0].deleted], [milk.id, true]);
  stop.abort();
  assert.deepEqual(await changes.next(), { value: undefined, done: true });
});

test("they continue where an earlier result has ended", TIMEOUT, async () => {
  const { client, writer, stop, changes } = await following();
  await writer.tasks.create({ title: "Milk" });
  const { next } = await read(changes);
  stop.abort();
  await writer.tasks.create({ title: "Oats" });
  const later = new AbortController();
  const found = await read(client.tasks.changes({ since: next, signal: later.signal }));
  later.abort();
  assert.deepEqual([found.reset, found.changes.map(({ task }) => task.title)], [false, ["Oats"]]);
});

test("a token that the service does not know begins again", TIMEOUT, async () => {
  const { client, writer, stop } = await following();
  await writer.tasks.create({ title: "Milk" });
  const found = await read(client.tasks.changes({ since: "unknown", signal: stop.signal }));
  stop.abort();
  assert.deepEqual([found.reset, found.changes.length], [true, 1]);
});

test("a reminder is passed on", TIMEOUT, async () => {
  const { writer, stop, changes } = await following();
  await read(changes);
  const waiting = read(changes, ({ reminders }) => reminders);
  const remind_at = new Date(Date.now() + 1500).toISOString();
  const { id } = await writer.tasks.create({ title: "Call Bob", remind_at });
  const { reminders } = await waiting;
  stop.abort();
  assert.equal(reminders[0].task_id, id);
});

test("requests that wait take over where there are too many streams", TIMEOUT, async () => {
  const { fetch, fail, count } = network();
  const { writer, stop, changes } = await following({ fetch });
  fail(problem(429, "too_many_streams", { "Retry-After": "60" }), isStream);
  await read(changes);
  const waiting = read(changes, has("Milk"));
  await writer.tasks.create({ title: "Milk" });
  await waiting;
  stop.abort();
  assert.equal(count("/events"), 1);
});

const FAILING = {
  "a stream is refused": () => problem(503, "unavailable"),
  "a stream breaks": () => {
    throw new TypeError("terminated");
  },
  "a poll does not wait": () => problem(429, "too_many_streams"),
};
for (const [name, respond] of Object.entries(FAILING)) {
  test(`there are few requests while ${name}`, TIMEOUT, async () => {
    let requests = 0;
    const answer = async (address, options) => {
      const path = new URL(address).pathname;
      if (!path.includes("/tasks/")) return await fetch(address, options);
      requests += 1;
      if (path.endsWith("/events")) return respond();
      return Response.json({ changes: [], next: "1", more: false });
    };
    const { stop, changes } = await following({ fetch: answer });
    const ends = read(changes, () => false).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    stop.abort();
    await ends;
    assert.ok(requests >= 4, `${requests} requests`);
    assert.ok(requests <= 16, `${requests} requests`);
  });
}

test("requests that wait take over where a proxy keeps the stream back", TIMEOUT, async () => {
  const { fetch, fail } = network();
  const { writer, stop, changes } = await following({ fetch });
  fail(silent, isStream);
  await read(changes);
  const waiting = read(changes, has("Milk"));
  await writer.tasks.create({ title: "Milk" });
  await waiting;
  stop.abort();
});

test("nothing is lost while the connection is", TIMEOUT, async () => {
  const wake = new EventTarget();
  const { fetch, goOffline, goOnline } = network();
  const { client, email } = await register({ fetch, storage: memory() });
  const writer = await signIn(email);
  const stop = new AbortController();
  const states = [];
  const onState = (online) => states.push(online);
  const changes = client.tasks.changes({ signal: stop.signal, wake, onState });
  await read(changes);
  const waiting = read(changes, has("Milk"));
  goOffline();
  wake.dispatchEvent(new Event("online"));
  await writer.tasks.create({ title: "Milk" });
  while (!states.includes(false)) await new Promise(setImmediate);
  goOnline();
  wake.dispatchEvent(new Event("online"));
  await waiting;
  stop.abort();
  assert.equal(states.at(-1), true);
});

test("they end with an error when the session has", TIMEOUT, async () => {
  const { client, changes } = await following();
  await read(changes);
  const waiting = read(changes);
  await client.logout();
  await assert.rejects(waiting, { status: 401 });
});
