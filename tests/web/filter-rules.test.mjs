/** The filters and orders of the page give what the API gives, for random tasks and random addresses. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { matcher, parseFilter, sortTasks } from "../../todo_api/web/page/tasks/filters.js";
import { collect, register } from "./support.mjs";

const ZONE = "Asia/Kolkata";
const TASKS = 120;
const QUERIES = 150;
const WORDS = ["Straße", "STRASSE", "ﬁle", "File", "café", "İstanbul", "milk", "100%", "under_score", "Ωmega", "ὈΔΥΣΣΕΎΣ", "zebra"];
const TAGS = ["home", "Home", "work, later", "Straße", "a\\b"];
const PRIORITIES = ["none", "low", "medium", "high", "urgent"];
const SORTS = ["created_at", "updated_at", "completed_at", "due_date", "priority", "title", "position"];

/** Random numbers that are the same in every run (mulberry32). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = seeded(7);
const below = (limit) => Math.floor(random() * limit);
const choose = (values) => values[below(values.length)];
const some = (values, most) => values.filter(() => random() < most / values.length);
const sometimes = (chance, make) => (random() < chance ? make() : undefined);

function day() {
  return new Date(Date.now() + (below(9) - 4) * 86_400_000).toISOString().slice(0, 10);
}

function moment() {
  const hours = String(below(24)).padStart(2, "0");
  return choose([`${day()}T${hours}:30:00Z`, `${day()}T${hours}:00`, `${day()}T${hours}:15:00+03:00`]);
}

function newTask() {
  return {
    title: Array.from({ length: 1 + below(3) }, () => choose(WORDS)).join(" "),
    description: sometimes(0.3, () => choose(WORDS)),
    priority: choose(PRIORITIES),
    due_date: sometimes(0.6, () => choose([day, moment])()),
    tags: some(TAGS, 2),
  };
}

function listed(names) {
  return names.map((name) => name.replaceAll("\\", "\\\\").replaceAll(",", "\\,")).join(",");
}

function newQuery() {
  const query = {
    status: choose(["all", "all", "pending", "completed"]),
    priority: sometimes(0.2, () => choose([choose(PRIORITIES), some(PRIORITIES, 2).join(",") || "low"])),
    tags: sometimes(0.25, () => listed(choose([[choose(TAGS)], ["home", choose(TAGS)]]))),
    tags_any: sometimes(0.2, () => listed([choose(TAGS), choose(TAGS)])),
    due_after: sometimes(0.2, () => choose([day, moment])()),
    due_before: sometimes(0.2, () => choose([day, moment])()),
    has_due: sometimes(0.1, () => choose(["true", "false"])),
    overdue: sometimes(0.1, () => choose(["true", "false"])),
    created_after: sometimes(0.05, day),
    search: sometimes(0.3, () => choose([...WORDS, "straSSE", "fi", "mi", "ss", "σ", " e "])),
    sort: `${choose(["", "-"])}${choose(SORTS)}`,
  };
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
}

test("the page filters and sorts as the API does", async () => {
  const { client } = await register();
  await client.updateProfile({ time_zone: ZONE });
  for (let number = 0; number < TASKS; number += 1) {
    const task = await client.tasks.create(newTask());
    if (random() < 0.3) await client.tasks.complete(task);
  }
  const copy = await collect(client.tasks.list());
  let matched = 0;
  for (let number = 0; number < QUERIES; number += 1) {
    const query = newQuery();
    const filter = parseFilter(new URLSearchParams(query));
    const here = sortTasks(copy.filter(matcher(filter, { zone: ZONE, now: Date.now() })), filter.sort, ZONE);
    const there = await collect(client.tasks.list(query));
    assert.deepEqual(here.map(({ id }) => id), there.map(({ id }) => id), JSON.stringify(query));
    matched += there.length;
  }
  assert.ok(matched > QUERIES, "the queries match next to nothing");
});
