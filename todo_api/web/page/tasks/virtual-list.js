/**
 * A list of which only the rows in sight are in the document.
 *
 * Rows have any height: it is estimated until they are shown, and measured then. What the user sees
 * stays where it is while rows above it are measured or change.
 */

const OVERSCAN = 320;
const ROUNDS = 4;

/**
 * @template {{ key: string }} Row
 * @typedef {object} Renderer
 * @property {(row: Row) => HTMLElement} create
 * @property {(element: HTMLElement, row: Row, index: number, count: number) => void} update
 * @property {(row: Row) => string} kind rows of one kind usually have the same height
 * @property {(row: Row) => number} estimate the height of a row, before one of its kind was measured
 */

/** @template {{ key: string }} Row */
export class VirtualList {
  #container;
  #renderer;
  /** @type {readonly Row[]} */
  #rows = [];
  /** @type {Map<string, number>} */
  #indexes = new Map();
  /** @type {Map<string, number>} */
  #heights = new Map();
  /** @type {Map<string, number>} the smallest height of each kind */
  #usual = new Map();
  #offsets = new Float64Array(1);
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  /** @type {ReadonlySet<string>} */
  #pinned = new Set();
  #resized = new ResizeObserver(() => this.#measureAll());
  #frame = 0;
  #onScroll = () => {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  };

  /**
   * @param {HTMLElement} container of the rows, which are placed in it absolutely
   * @param {Renderer<Row>} renderer
   */
  constructor(container, renderer) {
    this.#container = container;
    this.#renderer = renderer;
    document.addEventListener("scroll", this.#onScroll, { passive: true, capture: true });
    addEventListener("resize", this.#onScroll, { passive: true });
  }

  /** Stop listening. */
  close() {
    cancelAnimationFrame(this.#frame);
    document.removeEventListener("scroll", this.#onScroll, { capture: true });
    removeEventListener("resize", this.#onScroll);
    this.#resized.disconnect();
  }

  /** All rows, in sight or not. */
  get rows() {
    return this.#rows;
  }

  /**
   * Show these rows. Elements are kept by the keys of their rows.
   * @param {readonly Row[]} rows
   * @param {object} [options]
   * @param {boolean} [options.keepsPlace] whether what is in sight stays in place
   * @param {Iterable<string>} [options.pinned] as in `pin`
   */
  setRows(rows, { keepsPlace = true, pinned = this.#pinned } = {}) {
    this.#pinned = new Set(pinned);
    const anchor = keepsPlace ? this.#anchor() : null;
    this.#rows = rows;
    this.#indexes = new Map(rows.map((row, index) => [row.key, index]));
    this.#place();
    this.#restore(anchor);
    if (keepsPlace) {
      this.#render({ updates: true });
    } else {
      // Another list is shown at once, and what is around it with the next frame.
      this.#render({ updates: true, overscan: 0 });
      this.#onScroll();
    }
  }

  /** Show the rows in sight again, after something else than the rows has changed. */
  refresh() {
    this.#render({ updates: true });
  }

  /**
   * Keep the elements of these rows in the document when they are out of sight.
   * @param {Iterable<string>} keys
   */
  pin(keys) {
    this.#pinned = new Set(keys);
    this.#render();
  }

  /**
   * Return the place of a row, or -1.
   * @param {string} key
   */
  indexOf(key) {
    return this.#indexes.get(key) ?? -1;
  }

  /**
   * Return the element of a row, if it is in the document.
   * @param {string} key
   */
  elementOf(key) {
    return this.#elements.get(key) ?? null;
  }

  /**
   * Return the place of the row at this height of the window.
   * @param {number} y
   */
  indexAt(y) {
    return this.#search(y - this.#container.getBoundingClientRect().top);
  }

  /**
   * Return where a row begins, from the beginning of the list.
   * @param {number} index up to the number of rows, for the end of the list
   */
  offsetOf(index) {
    return this.#offsets[index] ?? 0;
  }

  /**
   * Scroll until the row is in sight, and return its element.
   * @param {string} key
   * @param {{ top?: number, bottom?: number }} [margins] what covers the window
   * @returns {HTMLElement | null}
   */
  reveal(key, { top = 0, bottom = 0 } = {}) {
    const index = this.indexOf(key);
    if (index < 0) {
      return null;
    }
    this.#scrollTo(index, top, bottom);
    this.#render();
    this.#scrollTo(index, top, bottom);
    this.#render();
    return this.elementOf(key);
  }

  /**
   * @param {number} index
   * @param {number} top
   * @param {number} bottom
   */
  #scrollTo(index, top, bottom) {
    const start = this.#container.getBoundingClientRect().top;
    const [first, last] = [start + this.offsetOf(index), start + this.offsetOf(index + 1)];
    if (first < top) {
      scrollBy({ top: first - top, behavior: "instant" });
    } else if (last > innerHeight - bottom) {
      scrollBy({ top: Math.min(last - innerHeight + bottom, first - top), behavior: "instant" });
    }
  }

  /** @param {{ updates?: boolean, overscan?: number }} [options] `updates`: rows may have changed */
  #render({ updates = false, overscan = OVERSCAN } = {}) {
    for (let round = 0; round < ROUNDS; round += 1) {
      const added = this.#renderOnce(updates && round === 0, overscan);
      if (!this.#measure(added)) {
        break;
      }
    }
  }

  /**
   * @param {boolean} updates
   * @param {number} overscan
   */
  #renderOnce(updates, overscan) {
    const top = -this.#container.getBoundingClientRect().top;
    const first = this.#search(top - overscan);
    const last = this.#search(top + innerHeight + overscan);
    const wanted = new Set(this.#rows.slice(first, last + 1).map((row) => row.key));
    for (const key of this.#pinned) {
      if (this.#indexes.has(key)) {
        wanted.add(key);
      }
    }
    for (const [key, element] of this.#elements) {
      if (!wanted.has(key)) {
        this.#resized.unobserve(element);
        element.remove();
        this.#elements.delete(key);
      }
    }
    return this.#show([...wanted].map((key) => this.indexOf(key)).sort((a, b) => a - b), updates);
  }

  /**
   * @param {number[]} indexes
   * @param {boolean} updates
   */
  #show(indexes, updates) {
    const added = [];
    /** @type {Element | null} */
    let place = this.#container.firstElementChild;
    for (const index of indexes) {
      const row = this.#rows[index];
      if (row) {
        let element = this.#elements.get(row.key);
        const isNew = !element;
        element ??= this.#renderer.create(row);
        if (isNew || updates) {
          this.#renderer.update(element, row, index, this.#rows.length);
        }
        if (isNew) {
          this.#elements.set(row.key, element);
          this.#resized.observe(element);
          added.push(row.key);
        }
        // Only elements that are out of order are moved: moving one takes the focus from it.
        if (element === place) {
          place = place.nextElementSibling;
        } else {
          this.#container.insertBefore(element, place);
        }
        element.style.setProperty("top", `${this.offsetOf(index)}px`);
      }
    }
    return added;
  }

  /** @param {string[]} keys */
  #measure(keys) {
    let changed = false;
    for (const key of keys) {
      const height = this.#elements.get(key)?.getBoundingClientRect().height ?? 0;
      if (height > 0 && Math.abs(height - this.#heightOf(key)) > 0.1) {
        changed = true;
      }
      if (height > 0) {
        this.#heights.set(key, height);
        this.#learn(key, height);
      }
    }
    if (changed) {
      const anchor = this.#anchor();
      this.#place();
      this.#restore(anchor);
    }
    return changed;
  }

  #measureAll() {
    if (this.#measure([...this.#elements.keys()])) {
      this.#render();
    }
  }

  /**
   * @param {string} key
   * @param {number} height
   */
  #learn(key, height) {
    const row = this.#rows[this.indexOf(key)];
    if (row) {
      const kind = this.#renderer.kind(row);
      this.#usual.set(kind, Math.min(height, this.#usual.get(kind) ?? height));
    }
  }

  /** @param {string} key */
  #heightOf(key) {
    const row = this.#rows[this.indexOf(key)];
    return row ? this.#heightOfRow(row) : 0;
  }

  /** @param {Row} row */
  #heightOfRow(row) {
    return this.#heights.get(row.key) ?? this.#usual.get(this.#renderer.kind(row)) ?? this.#renderer.estimate(row);
  }

  #place() {
    const offsets = new Float64Array(this.#rows.length + 1);
    let offset = 0;
    this.#rows.forEach((row, index) => {
      offsets[index] = offset;
      offset += this.#heightOfRow(row);
    });
    offsets[this.#rows.length] = offset;
    this.#offsets = offsets;
    this.#container.style.setProperty("height", `${offset}px`);
    for (const [key, element] of this.#elements) {
      element.style.setProperty("top", `${this.offsetOf(this.indexOf(key))}px`);
    }
  }

  /** Return the first row in sight that is not cut off, unless the list begins in sight. */
  #anchor() {
    const top = -this.#container.getBoundingClientRect().top;
    if (top <= 0 || this.#rows.length === 0) {
      return null;
    }
    const index = Math.min(this.#search(top) + 1, this.#rows.length - 1);
    const row = this.#rows[index];
    return row ? { key: row.key, offset: this.offsetOf(index) } : null;
  }

  /** @param {{ key: string, offset: number } | null} anchor */
  #restore(anchor) {
    const index = anchor ? this.indexOf(anchor.key) : -1;
    const moved = anchor && index >= 0 ? this.offsetOf(index) - anchor.offset : 0;
    if (Math.abs(moved) > 0.5) {
      scrollBy({ top: moved, behavior: "instant" });
    }
  }

  /** @param {number} offset */
  #search(offset) {
    let [low, high] = [0, Math.max(0, this.#rows.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#offsets[middle] ?? 0) <= offset) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
}
