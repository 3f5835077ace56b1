/**
 * The list of tasks: an element in which one row at a time has the keyboard, and one may be open.
 */

import { createRow, estimateHeight, rowKind, updateHeading, updateTask } from "./row.js";
import { VirtualList } from "./virtual-list.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./store.js").Row} Row */
/** @typedef {import("./store.js").TaskRow} TaskRow */
/** @typedef {{ element: HTMLElement, update: (task: LocalTask) => void }} OpenCard */

/**
 * What the list asks of its view.
 * @typedef {object} ListHost
 * @property {(action: string, row: TaskRow, event: MouseEvent) => void} onAction
 * @property {(task: LocalTask) => string} href
 * @property {() => string} zone
 * @property {() => string} today
 * @property {(row: TaskRow) => boolean} isLeaving
 */

const TOP = 72;
const BOTTOM = 96;

export class TaskList extends HTMLElement {
  /** @type {ListHost | null} */
  #host = null;
  /** @type {VirtualList<Row> | null} */
  #list = null;
  /** @type {string | null} */
  #active = null;
  /** @type {{ key: string, card: OpenCard } | null} */
  #open = null;
  /** @type {ReadonlySet<string>} */
  #selected = new Set();
  #isSelecting = false;
  #isTrash = false;

  /** @param {ListHost} host */
  start(host) {
    this.#host = host;
    this.setAttribute("role", "list");
    this.className = "task-list";
    this.#list = new VirtualList(/** @type {HTMLElement} */ (this), {
      create: createRow,
      update: (element, row, index, count) => this.#update(element, row, index, count),
      kind: rowKind,
      estimate: estimateHeight,
    });
    this.addEventListener("click", (event) => this.#onClick(event));
    this.addEventListener("focusin", (event) => this.#onFocus(event));
  }

  /** Stop following the window. */
  stop() {
    this.#list?.close();
  }

  /** The virtual list, for what needs to know where its rows are. */
  get rows() {
    return /** @type {VirtualList<Row>} */ (this.#list);
  }

  /** All tasks of the list, in or out of sight. */
  get tasks() {
    return this.rows.rows.filter((row) => row.kind === "task");
  }

  /** The row that has the keyboard. */
  get active() {
    return this.row(this.#active);
  }

  /** @param {string | null} key */
  row(key) {
    const row = key === null ? undefined : this.rows.rows[this.rows.indexOf(key)];
    return row?.kind === "task" ? row : null;
  }

  /**
   * Show these rows. If the row with the keyboard is gone, the one in its place has it.
   * @param {readonly Row[]} rows
   * @param {{ keepsPlace: boolean, isTrash: boolean }} options
   */
  show(rows, { keepsPlace, isTrash }) {
    const hadFocus = this.contains(document.activeElement);
    const index = this.#active === null ? 0 : this.rows.indexOf(this.#active);
    this.#isTrash = isTrash;
    if (!rows.some((row) => row.key === this.#active)) {
      this.#active = nearestTask(rows, Math.max(0, index))?.key ?? null;
    }
    this.rows.setRows(rows, { keepsPlace, pinned: this.#pinned() });
    if (hadFocus && !this.contains(document.activeElement)) {
      this.focusActive();
    }
  }

  /** Show the rows in sight again, after something else than the rows has changed. */
  refresh() {
    this.rows.refresh();
  }

  /**
   * @param {ReadonlySet<string>} selected
   * @param {boolean} isSelecting
   */
  showSelection(selected, isSelecting) {
    this.#selected = selected;
    this.#isSelecting = isSelecting;
    this.refresh();
  }

  /**
   * Show a card in the place of a row, or close it.
   * @param {string | null} key
   * @param {OpenCard | null} card
   */
  open(key, card) {
    this.#open = key !== null && card ? { key, card } : null;
    this.#active = key ?? this.#active;
    this.#pin();
    this.refresh();
  }

  /**
   * Give the keyboard to a row, and bring it into sight.
   * @param {string} key
   * @param {{ focuses?: boolean }} [options]
   */
  activate(key, { focuses = true } = {}) {
    this.#active = key;
    this.#pin();
    this.refresh();
    const element = this.rows.reveal(key, { top: TOP, bottom: BOTTOM });
    if (focuses) {
      element?.focus({ preventScroll: true });
    }
  }

  /** Focus the row that has the keyboard. */
  focusActive() {
    if (this.#active !== null) {
      this.activate(this.#active);
    }
  }

  /**
   * Give the keyboard to the task that is so many places away.
   * @param {number} distance
   * @returns {TaskRow | null}
   */
  step(distance) {
    const { tasks } = this;
    const at = tasks.findIndex((row) => row.key === this.#active);
    const isInside = this.contains(document.activeElement);
    const next = tasks[Math.min(Math.max(isInside ? at + distance : Math.max(at, 0), 0), tasks.length - 1)];
    if (next) {
      this.activate(next.key);
    }
    return next ?? null;
  }

  /**
   * @param {HTMLElement} element
   * @param {Row} row
   * @param {number} index
   * @param {number} count
   */
  #update(element, row, index, count) {
    element.setAttribute("aria-posinset", String(index + 1));
    element.setAttribute("aria-setsize", String(count));
    if (row.kind === "heading") {
      updateHeading(element, row);
    } else if (this.#open?.key === row.key) {
      this.#showCard(element, row, this.#open.card);
    } else if (this.#host) {
      element.classList.remove("is-open");
      updateTask(element, row, this.#stateOf(row, this.#host));
    }
  }

  /**
   * @param {HTMLElement} element
   * @param {TaskRow} row
   * @param {OpenCard} card
   */
  #showCard(element, row, card) {
    if (!element.contains(card.element)) {
      element.dataset.signature = "";
      element.classList.add("is-open");
      element.classList.remove("is-selected", "is-leaving");
      element.tabIndex = -1;
      element.replaceChildren(card.element);
    }
    element.classList.toggle("is-completed", row.task.completed);
    card.update(row.task);
  }

  /**
   * @param {TaskRow} row
   * @param {ListHost} host
   */
  #stateOf(row, host) {
    return {
      isActive: row.key === this.#active,
      isSelected: this.#selected.has(row.key),
      isSelecting: this.#isSelecting,
      isLeaving: host.isLeaving(row),
      isTrash: this.#isTrash,
      zone: host.zone(),
      today: host.today(),
      href: host.href,
    };
  }

  #pin() {
    this.rows.pin(this.#pinned());
  }

  #pinned() {
    return [this.#active, this.#open?.key].filter((key) => typeof key === "string");
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const target = event.target instanceof Element ? event.target : null;
    const element = target?.closest(".task-row");
    const row = element instanceof HTMLElement ? this.row(element.dataset.key ?? null) : null;
    if (!row || !target || row.key === this.#open?.key || event.defaultPrevented) {
      return;
    }
    const part = target.closest("[data-action]");
    this.#host?.onAction(part instanceof HTMLElement ? (part.dataset.action ?? "open") : "open", row, event);
  }

  /** @param {FocusEvent} event */
  #onFocus(event) {
    const element = event.target instanceof Element ? event.target.closest(".task-row") : null;
    const key = element instanceof HTMLElement ? (element.dataset.key ?? null) : null;
    if (key !== null && key !== this.#active) {
      this.#active = key;
      this.#pin();
      this.refresh();
    }
  }
}

/**
 * Return the task at this place or, if there is a heading, the nearest one.
 * @param {readonly Row[]} rows
 * @param {number} index
 */
function nearestTask(rows, index) {
  const at = Math.min(index, rows.length - 1);
  return rows.slice(at).find((row) => row.kind === "task") ?? rows.slice(0, Math.max(at, 0)).findLast((row) => row.kind === "task");
}

/** Return the empty list, to be started. */
export function createTaskList() {
  if (!customElements.get("task-list")) {
    customElements.define("task-list", TaskList);
  }
  return /** @type {TaskList} */ (document.createElement("task-list"));
}
