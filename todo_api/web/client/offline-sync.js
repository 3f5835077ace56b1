/** What the tab that leads does: it sends the queue, and follows the changes. */

/** @import { Changes } from "./changes.js" */
/** @import { TodoClient } from "./client.js" */
/** @import { OfflineCopy } from "./offline-copy.js" */
/** @import { QueuedWrite } from "./offline-rules.js" */
/** @import { Patch } from "./offline-store.js" */
/** @import { Task } from "./tasks.js" */

import { ConflictError, OfflineError, TodoError, notSignedIn } from "./errors.js";
import { carryOver, dependsOn, isInConflict, isSame, withStoredIds } from "./offline-rules.js";
import { delayAfter, isTemporary, nextEvent, pause } from "./retry.js";

const TRIES_OF_INTERNAL_ERRORS = 6;
const REMEMBERED_IDS = 500;

/**
 * @typedef {object} Tab
 * @property {TodoClient} client
 * @property {string} userId
 * @property {OfflineCopy} copy
 * @property {AbortSignal} signal
 * @property {EventTarget} wake has an event `queued` after each write, and `online` to try again
 * @property {(patch: Patch, replaced?: [number, number][]) => void} patch changes the copies of all
 * @property {(event: string, detail: object) => void} tell sends an event in every tab
 * @property {(isReachable: boolean) => void} setReachable
 * @property {() => boolean} isReachable
 * @property {EventTarget} states has an event `state` when the state has changed
 * @property {() => void} endSync is called when a synchronization has ended
 */

/** Keeps the copy and the service alike, until the signal of the tab is aborted. */
export class OfflineSync {
  #tab;
  #internalErrors = 0;
  #isAsked = true;
  /** @type {Promise<unknown>} Until the write that was sent last has an answer or none. */
  #sending = Promise.resolve();

  /** @param {Tab} tab */
  constructor(tab) {
    this.#tab = tab;
  }

  async run() {
    await Promise.all([this.#follow(), this.#send()]);
  }

  /** Send the queue and read the changes now. */
  soon() {
    const { wake, isReachable } = this.#tab;
    this.#isAsked = true;
    wake.dispatchEvent(new Event(isReachable() ? "queued" : "online"));
  }

  async #follow() {
    const { client, copy, signal, wake, setReachable } = this.#tab;
    for (let failures = 0; !signal.aborted; failures += 1) {
      const { since, lastEventId } = copy.progress;
      const options = { since, lastEventId, signal, wake, onState: setReachable };
      try {
        this.#requireUser();
        for await (const changes of client.tasks.changes(options)) {
          // Otherwise a new task would be shown twice until its temporary id is replaced.
          await this.#sending;
          this.#requireUser();
          this.#absorb(changes);
          failures = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isOfService(error)) throw error;
        setReachable(false);
        await pause(delayAfter(failures, error), { signal, wake });
      }
    }
  }

  async #send() {
    const { copy, signal, wake, setReachable } = this.#tab;
    for (let failures = 0; !signal.aborted; ) {
      try {
        this.#requireUser();
        if (copy.queue.length) await this.#sendFirst();
        else if (this.#isAsked) await this.#readChanges();
        else await nextEvent(wake, ["queued", "online"], signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isOfService(error)) throw error;
        if (!(error instanceof TodoError) || error.status !== 429) setReachable(false);
        this.#endSync();
        // A service that answers with errors is reachable for the changes: that ends no wait here.
        const isAnswer = error instanceof TodoError;
        await pause(delayAfter(failures, error), { signal, wake: isAnswer ? globalThis : wake });
        failures += 1;
      }
    }
  }

  // The changes

  /** @param {Pick<Changes, "changes" | "next"> & Partial<Changes>} changes */
  #absorb({ changes, next, more, reset, reminders = [], lastEventId }) {
    const { copy, patch, tell } = this.#tab;
    const complete = (copy.progress.complete && !reset) || !more;
    const tasks = changes.map(/** @returns {[number, Task | null]} */ ({ id, task }) => [id, task ?? null]);
    const reminded = lastEventId === undefined ? {} : { lastEventId };
    patch({ reset, tasks, progress: { since: next, complete, ...reminded } });
    for (const reminder of reminders) tell("reminder", reminder);
  }

  async #readChanges() {
    const { client, copy, signal, states, isReachable } = this.#tab;
    const isLoading = () => isReachable() && !copy.progress.complete;
    while (isLoading() && !signal.aborted) await nextEvent(states, ["state"], signal);
    for (let more = copy.progress.complete; more && !signal.aborted; ) {
      const page = await client.tasks.changesSince(copy.progress.since, { signal });
      this.#requireUser();
      this.#absorb(page);
      ({ more } = page);
    }
    if (!copy.queue.length) this.#endSync();
  }

  #endSync() {
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#tab.endSync();
  }

  /** Nothing may be sent or stored for another user who has signed in meanwhile. */
  #requireUser() {
    const { client, userId } = this.#tab;
    if (client.user?.id !== userId) throw notSignedIn();
  }

  // The queue

  async #sendFirst() {
    const { copy, setReachable } = this.#tab;
    const [write] = copy.queue;
    try {
      const sent = this.#transmit(withStoredIds(write, (id) => copy.resolve(id)));
      this.#sending = sent.catch(() => undefined);
      const stored = await sent;
      this.#internalErrors = 0;
      setReachable(true);
      this.#finish(write, stored);
    } catch (error) {
      this.#requireUser();
      if (!(error instanceof TodoError) || error.status === 401) throw error;
      if (error.status === 500) this.#internalErrors += 1;
      const isHopeless = this.#internalErrors >= TRIES_OF_INTERNAL_ERRORS;
      if (isTemporary(error) && !isHopeless) throw error;
      this.#internalErrors = 0;
      this.#refuse(write, error);
    }
  }

  /**
   * @param {QueuedWrite} write
   * @returns {Promise<Task | null>} the task as it is stored now
   */
  async #transmit({ kind, id, body, version, key }) {
    const { tasks } = this.#tab.client;
    const path = `/${id}`;
    const keyed = { key, attempts: 2 };
    const versioned = { ...keyed, version };
    switch (kind) {
      case "create":
        return await tasks.write({ ...keyed, method: "POST", json: body });
      case "update":
        return await tasks.write({ ...versioned, method: "PATCH", path, json: body });
      case "complete":
        return await tasks.write({ ...versioned, method: "PATCH", path: `${path}/complete`, json: body });
      case "move":
        return await tasks.write({ ...versioned, method: "POST", path: `${path}/move`, json: body });
      case "delete":
        return await tasks.write({ ...versioned, method: "DELETE", path });
      case "restore":
        return await tasks.write({ ...keyed, method: "POST", path: `${path}/restore` });
    }
  }

  /**
   * Take an answered write out of the queue. The later ones continue from its result.
   *
   * @param {QueuedWrite} write
   * @param {Task | null} stored
   */
  #finish(write, stored) {
    const { copy, patch } = this.#tab;
    const id = stored?.id ?? copy.resolve(write.id);
    /** @type {[number, number][]} */
    const replaced = write.kind === "create" ? [[write.id, id]] : [];
    for (const pair of replaced) copy.replace(...pair);
    const put = copy.queue.flatMap((each) => {
      if (each.order === write.order) return [];
      const renamed = withStoredIds(each, (one) => copy.resolve(one));
      const later = stored && renamed.id === id ? carryOver(write, stored, renamed) : renamed;
      return isSame(later, each) ? [] : [later];
    });
    const known = [...copy.progress.replaced, ...replaced].slice(-REMEMBERED_IDS);
    const progress = replaced.length ? { replaced: known } : undefined;
    patch({ drop: [write.order], put, tasks: this.#resultOf(write, id, stored), progress }, replaced);
  }

  /**
   * What is known of the tasks after a write, before its changes arrive.
   *
   * @param {QueuedWrite} write
   * @param {number} id
   * @param {Task | null} stored
   * @returns {[number, Task | null][]}
   */
  #resultOf(write, id, stored) {
    const children = this.#tab.copy.storedChildrenOf(id);
    if (!stored) return [[id, null], ...children.map(/** @returns {[number, null]} */ (task) => [task.id, null])];
    const family = write.family.filter((task) => task.id !== id);
    if (write.shown.completed) {
      const { completed, status, completed_at } = stored;
      const open = children.filter((child) => !child.completed);
      family.push(...open.map((child) => ({ ...child, completed, status, completed_at })));
    }
    return [[id, stored], ...family.map(/** @returns {[number, Task]} */ (task) => [task.id, task])];
  }

  /**
   * The service has refused a write: send it again over the current version if the same fields are
   * unchanged, or take it out of the queue and say so.
   *
   * @param {QueuedWrite} write
   * @param {TodoError} error
   */
  #refuse(write, error) {
    const { copy, patch, tell } = this.#tab;
    const id = copy.resolve(write.id);
    const drop = [write.order];
    if (error instanceof ConflictError) {
      const { current } = error;
      const isMerged = !isInConflict(write, current);
      const merged = { put: [{ ...write, version: current.version }] };
      patch({ tasks: [[id, current]], ...(isMerged ? merged : { drop }) });
      if (!isMerged) tell("conflict", { write, current: copy.get(id) ?? null });
    } else if (error.status === 404 && ["update", "complete", "delete"].includes(write.kind)) {
      patch({ tasks: [[id, null]], drop });
      if (write.kind !== "delete") tell("conflict", { write, current: null });
    } else {
      patch({ drop: [write, ...this.#dependents(write)].map((each) => each.order) });
      tell("refused", { write, error: { ...error } });
    }
  }

  /**
   * @param {QueuedWrite} write
   * @returns {QueuedWrite[]} the writes that cannot succeed without it
   */
  #dependents(write) {
    if (write.kind !== "create") return [];
    const created = new Set([write.id]);
    return this.#tab.copy.queue.filter((each) => {
      const depends = each !== write && [...created].some((id) => dependsOn(each, id));
      if (depends && each.kind === "create") created.add(each.id);
      return depends;
    });
  }
}

/** @param {unknown} error */
function isOfService(error) {
  return error instanceof OfflineError || error instanceof TodoError;
}
