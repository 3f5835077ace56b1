/**
 * What the user has done with rows: which are selected, and whose subtasks are hidden.
 */

const COLLAPSED = "todo.collapsed";
const MOST_COLLAPSED = 1000;

/** The selected tasks. */
export class Selection {
  /** @type {ReadonlySet<string>} */
  #keys = new Set();
  #isOn = false;
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** The keys of the selected rows. */
  get keys() {
    return this.#keys;
  }

  /** Whether rows have boxes to select them. */
  get isOn() {
    return this.#isOn;
  }

  /** @param {string} key */
  has(key) {
    return this.#keys.has(key);
  }

  /** @param {string} key */
  toggle(key) {
    const keys = new Set(this.#keys);
    if (!keys.delete(key)) {
      keys.add(key);
    }
    this.#set(keys, keys.size > 0);
  }

  /** Show the boxes, before anything is selected. */
  start() {
    this.#set(this.#keys, true);
  }

  /**
   * Select all rows from one to another, as well as those that are selected.
   * @param {readonly string[]} order of all rows
   * @param {string} to
   * @param {string} from
   */
  extend(order, to, from) {
    const [a, b] = [order.indexOf(from), order.indexOf(to)];
    const range = order.slice(Math.min(a, b), Math.max(a, b) + 1);
    this.#set(new Set([...this.#keys, ...range]), true);
  }

  /** @param {Iterable<string>} keys */
  selectAll(keys) {
    const all = new Set(keys);
    this.#set(all, all.size > 0);
  }

  clear() {
    if (this.#isOn) {
      this.#set(new Set(), false);
    }
  }

  /**
   * Forget the rows that are gone.
   * @param {ReadonlySet<string>} present
   */
  keep(present) {
    const keys = [...this.#keys].filter((key) => present.has(key));
    if (keys.length !== this.#keys.size) {
      this.#set(new Set(keys), keys.length > 0);
    }
  }

  /**
   * @param {ReadonlySet<string>} keys
   * @param {boolean} isOn
   */
  #set(keys, isOn) {
    this.#keys = keys;
    this.#isOn = isOn;
    this.#onChange();
  }
}

/** The tasks whose subtasks are hidden, kept in this browser. */
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
      localStorage.setItem(COLLAPSED, JSON.stringify([...this.#keys].slice(-MOST_COLLAPSED)));
    } catch {
      // Without storage, subtasks are shown again after a reload.
    }
  }
}

/** @returns {Set<string>} */
function read() {
  try {
    return new Set(JSON.parse(localStorage.getItem(COLLAPSED) ?? "[]"));
  } catch {
    return new Set();
  }
}
