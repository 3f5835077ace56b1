/**
 * Moving tasks with the pointer: a mouse drags rows, a finger those that it has pressed for a moment.
 */

import { h } from "../ui/dom.js";
import { dropPlace, nearestDrop, withoutBlock } from "./places.js";

/** @typedef {import("./store.js").TaskRow} TaskRow */
/** @typedef {import("./view.js").TaskView} TaskView */

const LONG_PRESS_MS = 400;
const THRESHOLD = 6;
/** How far the pointer moves to change the level, and by how much a subtask is indented. */
const INDENT = 28;
const LEVEL = 32;
const EDGE = 88;
const SPEED = 12;

/**
 * @param {TaskView} view
 * @param {AbortSignal} signal
 */
export function enableDrag(view, signal) {
  /** @type {Drag | null} */
  let drag = null;
  const { list } = view;

  list.addEventListener("pointerdown", (event) => {
    const row = rowAt(view, event);
    if (row && event.isPrimary && event.button === 0 && view.canReorder) {
      drag?.end(false);
      drag = new Drag(view, row, event, () => (drag = null));
    }
  }, { signal });
  // The browser would drag links itself, scroll with the finger, and open its own menu.
  list.addEventListener("dragstart", (event) => event.preventDefault(), { signal });
  list.addEventListener("touchmove", (event) => drag?.isMoving && event.preventDefault(), { signal, passive: false });
  list.addEventListener("contextmenu", (event) => drag?.isTouch && event.preventDefault(), { signal });
  signal.addEventListener("abort", () => drag?.end(false));
}

class Drag {
  #view;
  #row;
  #start;
  #onEnd;
  #timer = 0;
  #frame = 0;
  #pointer;
  #own = new AbortController();
  /** @type {import("./places.js").Drop | null} */
  #drop = null;
  #line = h("div", { class: "drop-line", "aria-hidden": "true" });
  /** @type {HTMLElement | null} */
  #ghost = null;

  /**
   * @param {TaskView} view
   * @param {TaskRow} row
   * @param {PointerEvent} event
   * @param {() => void} onEnd
   */
  constructor(view, row, event, onEnd) {
    this.#view = view;
    this.#row = row;
    this.#start = { x: event.clientX, y: event.clientY };
    this.#pointer = this.#start;
    this.#onEnd = onEnd;
    this.isTouch = event.pointerType === "touch";
    const { signal } = this.#own;
    if (this.isTouch) {
      this.#timer = setTimeout(() => this.#begin(), LONG_PRESS_MS);
    }
    document.addEventListener("pointermove", (moved) => this.#onMove(moved), { signal });
    document.addEventListener("pointerup", () => this.end(true), { signal });
    document.addEventListener("pointercancel", () => this.end(false), { signal });
    document.addEventListener("keydown", (pressed) => this.#onKey(pressed), { signal, capture: true });
  }

  get isMoving() {
    return this.#ghost !== null;
  }

  /** @param {boolean} drops */
  end(drops) {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#own.abort();
    this.#line.remove();
    this.#ghost?.remove();
    document.documentElement.classList.remove("is-dragging");
    this.#view.list.rows.elementOf(this.#row.key)?.classList.remove("is-dragged");
    if (this.#ghost) {
      // The click that ends the drag does not open the task.
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    }
    const place = drops && this.#drop ? dropPlace(this.#view.list.tasks, this.#row.key, this.#drop) : null;
    this.#onEnd();
    if (place) {
      this.#view.commands.move(this.#row.task, place);
    }
  }

  #begin() {
    this.#ghost = h("div", { class: "drag-ghost", "aria-hidden": "true", dir: "auto", text: this.#row.task.title });
    document.body.append(this.#ghost, this.#line);
    document.documentElement.classList.add("is-dragging");
    this.#view.list.rows.elementOf(this.#row.key)?.classList.add("is-dragged");
    if (this.isTouch) {
      navigator.vibrate?.(10);
    }
    this.#follow();
  }

  /** @param {PointerEvent} event */
  #onMove(event) {
    this.#pointer = { x: event.clientX, y: event.clientY };
    const distance = Math.hypot(event.clientX - this.#start.x, event.clientY - this.#start.y);
    if (this.isMoving) {
      event.preventDefault();
    } else if (distance > THRESHOLD && this.isTouch) {
      this.end(false);
    } else if (distance > THRESHOLD) {
      this.#begin();
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Escape" && this.isMoving) {
      event.preventDefault();
      event.stopPropagation();
      this.end(false);
    }
  }

  /** Show where the task would go, and scroll near the edges of the window, until the drag ends. */
  #follow() {
    const { x, y } = this.#pointer;
    this.#ghost?.style.setProperty("translate", `${x + 12}px ${y + 8}px`);
    if (y < EDGE) {
      scrollBy(0, -SPEED);
    } else if (y > innerHeight - EDGE) {
      scrollBy(0, SPEED);
    }
    this.#show();
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #show() {
    const { list, store } = this.#view;
    const rows = list.tasks;
    const { others, at, size } = withoutBlock(rows, this.#row.key);
    const index = this.#indexAt(this.#pointer.y, at, size);
    const isRtl = getComputedStyle(list).direction === "rtl";
    const moved = (this.#pointer.x - this.#start.x) * (isRtl ? -1 : 1);
    const level = moved > INDENT ? 2 : moved < -INDENT ? 1 : this.#row.level;
    this.#drop = nearestDrop(others, { index, level }, store.children(this.#row.task.id).length === 0);
    const shown = this.#drop.index >= at ? this.#drop.index + size : this.#drop.index;
    const box = list.getBoundingClientRect();
    this.#line.style.setProperty("top", `${box.top + list.rows.offsetOf(shown) - 1}px`);
    const indent = this.#drop.level === 2 ? LEVEL : 0;
    this.#line.style.setProperty("left", `${box.left + (isRtl ? 0 : indent)}px`);
    this.#line.style.setProperty("width", `${box.width - indent}px`);
  }

  /**
   * Return the place between the other rows at this height of the window.
   * @param {number} y
   * @param {number} at
   * @param {number} size
   */
  #indexAt(y, at, size) {
    const { rows } = this.#view.list;
    const index = rows.indexAt(y);
    const offset = y - this.#view.list.getBoundingClientRect().top;
    const middle = (rows.offsetOf(index) + rows.offsetOf(index + 1)) / 2;
    const gap = offset > middle ? index + 1 : index;
    return gap <= at ? gap : Math.max(at, gap - size);
  }
}

/** @param {MouseEvent} event */
function swallow(event) {
  event.preventDefault();
  event.stopPropagation();
}

/**
 * @param {TaskView} view
 * @param {PointerEvent} event
 */
function rowAt(view, event) {
  const target = event.target instanceof Element ? event.target : null;
  const element = target?.closest(".task-row:not(.is-open)");
  return element instanceof HTMLElement && !target?.closest("button") ? view.list.row(element.dataset.key ?? null) : null;
}
