/** The changes of a user's tasks, as they happen. */

/** @import { components } from "./api.js" */
/** @import { Filter } from "./tasks.js" */

import { TodoError } from "./errors.js";
import { readEvents, within } from "./event-stream.js";
import { delayAfter, isTemporary, pause } from "./retry.js";

const SILENCE = 30_000;
const FIRST_BYTE = 5000;
const WAIT_SECONDS = 25;
const STREAM_AGAIN_AFTER = 5 * 60_000;
/** A stream that lasts so long, or a poll that waits so long, is not a failure. */
const STEADY = 10_000;
const SHORTEST_POLL = 1000;

/** @typedef {components["schemas"]["TaskChange"]} Change */
/** @typedef {components["schemas"]["TaskChangesResponse"]} ChangesPage */
/** @typedef {{ id: string, task_id: number, remind_at: string }} Reminder */

/**
 * @typedef {object} Changes
 * @property {Change[]} changes each task once, as it is now
 * @property {string} next from where to continue later, as `since`
 * @property {boolean} more whether there are more changes already
 * @property {boolean} reset whether these are the first of all tasks: drop the copy
 * @property {Reminder[]} [reminders] which tasks remind now
 * @property {string | null} lastEventId from where to continue with the reminders
 */

/**
 * @typedef {object} ChangesOptions
 * @property {string | null} [since] `next` of an earlier result
 * @property {string | null} [lastEventId] of an earlier result, to get the reminders since then
 * @property {AbortSignal} [signal]
 * @property {EventTarget} [wake] whose event `online` ends a wait; the window by default
 * @property {(online: boolean) => void} [onState] is told whether the service can be reached
 */

/**
 * @typedef {object} Source
 * @property {(query: Filter, signal?: AbortSignal) => Promise<ChangesPage>} read
 * @property {(headers: Record<string, string>, signal: AbortSignal)
 *   => Promise<ReadableStream<Uint8Array> | null>} open
 */

/** Streams do not get through here, or there are too many. */
class NoStream extends Error {}

/**
 * @param {Source} source
 * @param {ChangesOptions} options
 * @returns {AsyncGenerator<Changes, void, void>}
 */
export async function* followChanges(source, options) {
  const { signal, wake, onState } = options;
  const follower = new Follower(source, options);
  let failures = 0;
  let streamFrom = 0;
  while (!signal?.aborted) {
    let began = Infinity;
    try {
      yield* follower.read();
      began = Date.now();
      if (began < streamFrom) {
        const isFound = yield* follower.read(WAIT_SECONDS);
        if (isFound || Date.now() - began >= SHORTEST_POLL) failures = 0;
        else await pause(delayAfter(failures++), { signal, wake });
      } else {
        yield* follower.stream();
        failures = 0;
        await pause(follower.retry, { signal, wake });
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (Date.now() - began >= STEADY) failures = 0;
      if (error instanceof NoStream) {
        streamFrom = Date.now() + STREAM_AGAIN_AFTER;
        continue;
      }
      if (!isTemporary(error)) throw error;
      if (!(error instanceof TodoError) || error.status >= 500) onState?.(false);
      await pause(delayAfter(failures, error), { signal, wake });
      failures += 1;
    }
  }
}

/** Knows how far the changes were read. */
class Follower {
  #source;
  #options;
  #since;
  #lastEventId;
  #isFirst = true;
  #revision = -Infinity;
  /** Milliseconds to wait before a stream that has ended is opened again. */
  retry = 3000;

  /**
   * @param {Source} source
   * @param {ChangesOptions} options
   */
  constructor(source, options) {
    this.#source = source;
    this.#options = options;
    this.#since = options.since ?? null;
    this.#lastEventId = options.lastEventId ?? null;
  }

  /**
   * Read all changes that there are.
   *
   * @param {number} [wait] seconds to wait for the first one
   * @returns {AsyncGenerator<Changes, boolean, void>} and whether there was one
   */
  async *read(wait) {
    let reset = this.#since === null;
    let more = true;
    let isFound = false;
    while (more) {
      try {
        const query = { since: this.#since, wait };
        const page = await this.#source.read(query, this.#options.signal);
        this.#options.onState?.(true);
        for (const { revision } of page.changes) this.#revision = Math.max(this.#revision, revision);
        this.#since = page.next;
        more = page.more;
        isFound ||= page.changes.length > 0;
        if (page.changes.length || reset || this.#isFirst) {
          this.#isFirst = false;
          yield this.#result({ changes: page.changes, more, reset });
        }
        reset = false;
      } catch (error) {
        if (this.#since === null || !isLost(error)) throw error;
        this.#since = null;
        reset = true;
      }
    }
    return isFound;
  }

  /**
   * Read the changes that a stream tells of, until it ends.
   *
   * @returns {AsyncGenerator<Changes, void, void>}
   */
  async *stream() {
    const { signal, wake = globalThis } = this.#options;
    const closing = new AbortController();
    const close = () => closing.abort();
    signal?.addEventListener("abort", close);
    // The connection of before may be gone without a sign.
    wake.addEventListener?.("online", close);
    try {
      for await (const event of this.#events(closing.signal)) {
        if (event.retry !== null) this.retry = event.retry;
        if (event.type === "reminder") {
          yield this.#result({ reminders: [JSON.parse(event.data)] });
        } else if (event.type === "changed") {
          if (Number(event.id) > this.#revision) yield* this.read();
          this.#revision = Math.max(this.#revision, Number(event.id));
          this.#lastEventId = event.id;
        }
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error;
      this.retry = 0;
    } finally {
      close();
      signal?.removeEventListener("abort", close);
      wake.removeEventListener?.("online", close);
    }
  }

  /** @param {AbortSignal} signal */
  async *#events(signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (this.#lastEventId !== null) headers["Last-Event-ID"] = this.#lastEventId;
    const opened = Date.now();
    const events = await this.#open(headers, signal);
    const first = await within(FIRST_BYTE, events.next()).catch((error) => {
      events.return().catch(() => undefined);
      throw Date.now() - opened >= FIRST_BYTE ? new NoStream() : error;
    });
    if (first.done) return;
    yield first.value;
    yield* events;
  }

  /**
   * @param {Record<string, string>} headers
   * @param {AbortSignal} signal
   */
  async #open(headers, signal) {
    const opened = Date.now();
    try {
      const body = await within(FIRST_BYTE, this.#source.open(headers, signal));
      if (body) return readEvents(body, SILENCE);
    } catch (error) {
      const isRefused = error instanceof TodoError && error.code === "too_many_streams";
      if (!isRefused && Date.now() - opened < FIRST_BYTE) throw error;
    }
    throw new NoStream();
  }

  /**
   * @param {Partial<Changes>} found
   * @returns {Changes}
   */
  #result(found) {
    const next = /** @type {string} */ (this.#since);
    return { changes: [], more: false, reset: false, next, lastEventId: this.#lastEventId, ...found };
  }
}

/** @param {unknown} error */
function isLost(error) {
  return error instanceof TodoError && (error.status === 410 || error.code === "invalid_cursor");
}
