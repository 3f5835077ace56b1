/**
 * The field that adds tasks, with what was understood of the text below it.
 */

import { announce } from "../ui/announce.js";
import { h, icon, uniqueId } from "../ui/dom.js";
import { lazy } from "./lazy.js";

/** @typedef {import("./quick-add.js").Fields} Fields */
/** @typedef {typeof import("./quick-add-chips.js")} Parser */
/** @typedef {import("./quick-add-chips.js").Chip} Chip */

const LONGEST_TITLE = 200;

/**
 * @param {object} options
 * @param {string} options.label
 * @param {() => string} options.zone
 * @param {(task: { title: string } & Fields) => void} options.onAdd
 * @param {() => void} [options.onLeave] Escape in the empty field
 * @param {boolean} [options.isSmall]
 */
export function createQuickAdd({ label, zone, onAdd, onLeave, isSmall = false }) {
  const hintId = uniqueId("quick-add-hint");
  /** @type {string[]} */
  let ignored = [];
  const input = h("input", {
    type: "text",
    class: "quick-add-input",
    "aria-label": label,
    "aria-describedby": hintId,
    placeholder: label,
    autocomplete: "off",
    enterKeyHint: "done",
    maxLength: 500,
    on: { input: () => show(), keydown: (event) => onKey(event) },
  });
  const chips = h("ul", { class: "quick-add-chips", "aria-label": "Understood", hidden: true });
  const hint = h("p", { class: "quick-add-hint", id: hintId });
  /** @type {HTMLFormElement} */
  const form = h(
    "form",
    {
      class: isSmall ? "quick-add is-small" : "quick-add",
      on: {
        submit: (event) => {
          event.preventDefault();
          add();
        },
        focusout: () => whenReleased(() => form.classList.toggle("is-used", isUsed())),
        focusin: () => {
          form.classList.add("is-used");
          lazyParser.loadAhead();
        },
      },
    },
    h("div", { class: "quick-add-line" }, icon("plus"), input, h("button", { type: "submit", class: "quick-add-submit", text: "Add" })),
    chips,
    hint,
  );

  const context = () => ({ zone: zone(), now: Date.now(), ignored });
  const isUsed = () => input.value !== "" || form.contains(document.activeElement);

  function show() {
    // The placeholder has the direction of the page.
    input.dir = input.value === "" ? "" : "auto";
    hint.textContent = isSmall || input.value ? "" : "Try “Water plants !high #home tomorrow 9am every monday”.";
    form.classList.toggle("has-text", input.value.trim() !== "");
    const text = input.value;
    if (text === "") {
      showChips([]);
    } else {
      withParser(({ parseQuickAdd, chipsOf }) => input.value === text && showChips(chipsOf(parseQuickAdd(text, context()), zone())));
    }
  }

  /** @param {Chip[]} list */
  function showChips(list) {
    chips.hidden = list.length === 0;
    chips.replaceChildren(...list.map((chip) => h("li", {}, chipButton(chip))));
  }

  /** @param {Chip} chip */
  function chipButton(chip) {
    const remove = () => {
      ignored = [...ignored, ...chip.texts];
      show();
      announce(`${chip.label} removed.`);
      input.focus();
    };
    return h(
      "button",
      {
        type: "button",
        class: "chip chip-set",
        "aria-label": `${chip.label}, remove`,
        on: {
          click: remove,
          keydown: (event) => {
            if (event.key === "Delete" || event.key === "Backspace") {
              event.preventDefault();
              remove();
            }
          },
        },
      },
      icon(chip.icon),
      h("span", { text: chip.label, dir: "auto" }),
      icon("close"),
    );
  }

  function add() {
    const [text, understood] = [input.value, context()];
    // What is typed while the parser is loaded is the next task.
    clear();
    withParser(({ parseQuickAdd }) => {
      const { title, fields } = parseQuickAdd(text, understood);
      const length = [...title].length;
      if (length > 0 && length <= LONGEST_TITLE) {
        onAdd({ title, ...fields });
      } else {
        input.value ||= text;
        show();
        hint.textContent = length === 0 ? "Type a title." : `A title has up to ${LONGEST_TITLE} characters.`;
        input.focus();
      }
    });
  }

  function clear() {
    input.value = "";
    ignored = [];
    show();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      add();
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (input.value === "") {
        onLeave?.();
      } else {
        clear();
      }
    }
  }

  show();
  return {
    element: form,
    focus: () => input.focus(),
    /** @param {string} text */
    setLabel: (text) => {
      input.placeholder = text;
      input.setAttribute("aria-label", text);
    },
  };
}

/**
 * Do something that moves what is below. While a button of the mouse is down this waits, since the
 * click would miss what it is meant for.
 * @param {() => void} run
 */
function whenReleased(run) {
  if (document.querySelector(":active")) {
    addEventListener("pointerup", () => setTimeout(run), { once: true });
  } else {
    setTimeout(run);
  }
}

/** @type {Parser | null} */
let parser = null;

async function importParser() {
  parser = await import("./quick-add-chips.js");
  return parser;
}

/** The parser, which is needed when something is typed. */
export const lazyParser = lazy(importParser);

/**
 * Do something with the parser: at once, if it was loaded, and otherwise in the order of the calls.
 * @param {(parser: Parser) => void} run
 */
function withParser(run) {
  if (parser) {
    run(parser);
  } else {
    void lazyParser.load().then(run);
  }
}
