/**
 * The tasks whose subtasks are hidden, kept in this browser.
 */

const NAME = "todo.collapsed";
const MOST = 1000;

export class Collapsed {
  #keys = read();

  /** The keys of the tasks. */
  get keys() {
    return this.#keys;
  }

  /**
   * @param {string} key
   * @param {boolean} isCollapsed
   */
  set(key, isCollapsed) {
    if (isCollapsed) {
      this.#keys.add(key);
    } else {
      this.#keys.delete(key);
    }
    try {
      localStorage.setItem(NAME, JSON.stringify([...this.#keys].slice(-MOST)));
    } catch {
      // Without storage, subtasks are shown again after a reload.
    }
  }
}

/** @returns {Set<string>} */
function read() {
  try {
    return new Set(JSON.parse(localStorage.getItem(NAME) ?? "[]"));
  } catch {
    return new Set();
  }
}
