/**
 * A text that is saved as it is typed. It grows with its lines.
 */

import { h, uniqueId } from "../ui/dom.js";

const PAUSE_MS = 600;

/**
 * @param {object} options
 * @param {string} options.label
 * @param {string} options.className
 * @param {number} options.maxLength
 * @param {boolean} options.isRequired a required text has one line
 * @param {() => string} options.read what is stored
 * @param {(text: string) => void} options.save
 * @param {(before: string) => void} options.keep called when the field is left, with what it had before
 * @param {() => void} [options.onEnter]
 */
export function createTextField({ label, className, maxLength, isRequired, read, save, keep, onEnter }) {
  let timer = 0;
  /** What the field had when it was entered, once it is changed. @type {string | null} */
  let before = null;
  const problem = h("p", { class: "error", id: uniqueId("problem"), hidden: true });
  const field = h("textarea", {
    class: className,
    rows: 1,
    maxLength,
    placeholder: label,
    "aria-label": label,
    "aria-describedby": problem.id,
    dir: "auto",
    on: {
      input: () => onInput(),
      blur: () => leave(),
      keydown: (event) => {
        if (event.key === "Enter" && isRequired && !event.isComposing) {
          event.preventDefault();
          if (text() !== "") {
            flush();
            onEnter?.();
          }
        }
      },
    },
  });
  const text = () => (isRequired ? field.value.replace(/\s+/g, " ").trim() : field.value.trim());

  function onInput() {
    before ??= read();
    const isMissing = isRequired && text() === "";
    problem.textContent = isMissing ? `${label} is required.` : "";
    problem.hidden = !isMissing;
    field.setAttribute("aria-invalid", String(isMissing));
    clearTimeout(timer);
    timer = setTimeout(store, PAUSE_MS);
  }

  function store() {
    clearTimeout(timer);
    timer = 0;
    if (text() !== read() && !(isRequired && text() === "")) {
      save(text());
    }
  }

  function flush() {
    if (before === null) {
      return;
    }
    const first = before;
    before = null;
    if (timer !== 0) {
      store();
    }
    if (first !== read()) {
      keep(first);
    }
  }

  function leave() {
    flush();
    problem.hidden = true;
    field.setAttribute("aria-invalid", "false");
    show();
  }

  function show() {
    if (field.value !== read()) {
      field.value = read();
    }
  }

  show();
  return {
    element: h("div", { class: "card-field" }, h("div", { class: "card-grow" }, field), problem),
    flush,
    /** Show what is stored, unless the user is typing. */
    update: () => {
      if (before === null) {
        show();
      }
    },
    /** @param {boolean} [selects] */
    focus: (selects = false) => {
      field.focus({ preventScroll: true });
      if (selects) {
        field.select();
      } else {
        field.setSelectionRange(field.value.length, field.value.length);
      }
    },
  };
}
