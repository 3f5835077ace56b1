/**
 * The steps that the user can undo, the latest first.
 */

import { announce } from "../ui/announce.js";
import { toast } from "../ui/toast.js";

const LONGEST = 50;

/** @typedef {{ text: string, undo: () => void }} Step */

export class History {
  /** @type {Step[]} */
  #steps = [];
  /** @type {Map<Step, { close: () => void }>} */
  #toasts = new Map();

  /**
   * Keep a step. If it is `shown`, a message with its text offers to undo it.
   * @param {string} text what was done, as a sentence
   * @param {() => void} undo
   * @param {{ isShown?: boolean }} [options]
   */
  add(text, undo, { isShown = true } = {}) {
    const step = { text, undo };
    this.#steps = [...this.#steps.slice(1 - LONGEST), step];
    if (isShown) {
      this.#toasts.set(step, toast(text, { action: { label: "Undo", run: () => this.#undo(step) } }));
    }
  }

  /** Undo the latest step. */
  undoLatest() {
    const step = this.#steps.at(-1);
    if (step) {
      this.#undo(step);
    } else {
      announce("There is nothing to undo.");
    }
  }

  /** @param {Step} step */
  #undo(step) {
    if (!this.#steps.includes(step)) {
      return;
    }
    this.#steps = this.#steps.filter((each) => each !== step);
    this.#toasts.get(step)?.close();
    this.#toasts.delete(step);
    step.undo();
    announce(`Undone: ${step.text}`);
  }
}
