/**
 * The task that is open, which is also in the address: `#task=1`.
 */

import { filterParams } from "./filters.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("./view.js").TaskView} TaskView */
/** @typedef {ReturnType<typeof import("./card.js").createCard>} Card */

const MARGINS = { top: 72, bottom: 16 };

export class OpenTask {
  #view;
  /** @type {{ key: string, card: Card } | null} */
  #open = null;
  /** The key of the task whose card is being made. @type {string | null} */
  #opening = null;
  /** Whether the entry before this one in the history is the list. */
  #isOpenedHere = false;
  #turn = 0;

  /** @param {TaskView} view */
  constructor(view) {
    this.#view = view;
  }

  get key() {
    return this.#open?.key ?? null;
  }

  get card() {
    return this.#open?.card ?? null;
  }

  /**
   * Open a task in its place.
   * @param {LocalTask} task
   * @param {string} [part] the field to edit
   */
  async open(task, part = "") {
    const { router } = this.#view.parts;
    const isSwitch = this.#open !== null;
    this.#isOpenedHere ||= !isSwitch;
    const shown = this.#show(task, part);
    router.go(router.href(filterParams(this.#view.filter), `task=${task.id}`), { replace: isSwitch });
    await shown;
  }

  /**
   * Close the card, and return to the list.
   * @param {{ goes?: boolean, focuses?: boolean }} [options] `goes`: whether the address changes
   */
  close({ goes = true, focuses = false } = {}) {
    const open = this.#open;
    this.#turn += 1;
    this.#opening = null;
    if (!open) {
      return;
    }
    open.card.close();
    this.#open = null;
    this.#view.list.open(null, null);
    this.#view.show();
    if (focuses) {
      this.#view.list.focusActive();
    }
    if (goes && this.#isOpenedHere) {
      history.back();
    } else if (goes) {
      const { router } = this.#view.parts;
      router.go(router.href(filterParams(this.#view.filter)), { replace: true });
    }
    this.#isOpenedHere = false;
  }

  /** Open or close what the address says. */
  followAddress() {
    const { parts, store, list } = this.#view;
    const id = /^#task=(-?\d+)$/.exec(parts.router.current.hash)?.[1];
    const task = id === undefined ? undefined : store.get(Number(id));
    if (task) {
      void this.#show(task, "");
    } else {
      this.close({ goes: false, focuses: list.contains(document.activeElement) });
    }
  }

  /**
   * @param {LocalTask} task
   * @param {string} part
   */
  async #show(task, part) {
    if (this.#open?.key === task.key || this.#opening === task.key) {
      return;
    }
    this.#turn += 1;
    this.#opening = task.key;
    const turn = this.#turn;
    const { createCard } = await this.#view.panels;
    if (turn !== this.#turn) {
      return;
    }
    this.#opening = null;
    this.#open?.card.close();
    const { list, store, collapsed } = this.#view;
    const parent = task.parent_id === null ? undefined : store.get(task.parent_id);
    if (parent) {
      collapsed.set(parent.key, false);
    }
    const card = createCard(this.#view, store.get(task.id) ?? task);
    this.#open = { key: task.key, card };
    this.#view.show();
    list.open(task.key, card);
    list.rows.reveal(task.key, MARGINS);
    card.focus(part);
  }
}
