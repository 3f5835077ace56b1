/** Server-sent events, read with `fetch`, which can send the access token. */

import { OfflineError } from "./errors.js";

/**
 * @typedef {object} StreamEvent
 * @property {string} type
 * @property {string} data
 * @property {string | null} id
 * @property {number | null} retry milliseconds to wait before connecting again
 */

/**
 * Read the events of a stream until it ends.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {number} silence milliseconds after which the connection counts as lost
 * @returns {AsyncGenerator<StreamEvent, void, void>}
 * @throws {OfflineError} if nothing was heard for that time, or the connection broke
 */
export async function* readEvents(body, silence) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await within(silence, reader.read());
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const blocks = rest.split(/\r\n\r\n|\n\n|\r\r/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) yield parse(block);
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/**
 * @param {string} block
 * @returns {StreamEvent}
 */
function parse(block) {
  /** @type {StreamEvent} */
  const event = { type: "message", data: "", id: null, retry: null };
  for (const line of block.split(/\r\n|\n|\r/)) {
    const [, field, value] = line.match(/^([^:]*):? ?(.*)$/) ?? [];
    if (field === "event") event.type = value;
    else if (field === "data") event.data += event.data ? `\n${value}` : value;
    else if (field === "id") event.id = value;
    else if (field === "retry") event.retry = Number(value);
  }
  return event;
}

/**
 * @template T
 * @param {number} milliseconds
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(milliseconds, promise) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new OfflineError("time-out")), milliseconds);
  });
  try {
    return await /** @type {Promise<T>} */ (Promise.race([promise, late]));
  } catch (error) {
    throw error instanceof Error && error.name === "TodoError" ? error : new OfflineError(error);
  } finally {
    clearTimeout(timer);
  }
}
