/**
 * The field that adds tasks, with what was understood of the text below it.
 */

import { announce } from "../ui/announce.js";
import { h, icon, uniqueId } from "../ui/dom.js";
import { formatDue } from "./dates.js";
import { describeRule } from "./recurrence-text.js";

/** @typedef {import("./quick-add.js").Fields} Fields */
/** @typedef {typeof import("./quick-add.js").parseQuickAdd} Parse */
/** @typedef {{ label: string, icon: string, texts: string[] }} Chip */

const LONGEST_TITLE = 200;
const PRIORITY_NAMES = /** @type {Record<string, string>} */ ({
  urgent: "Urgent",
  high: "High priority",
  medium: "Medium priority",
  low: "Low priority",
  none: "No priority",
});

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
          withParser(() => undefined);
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
      withParser((parse) => input.value === text && showChips(chipsOf(parse(text, context()), zone())));
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
    // The next task can be typed while the parser is loaded for this one.
    clear();
    withParser((parse) => {
      const { title, fields } = parse(text, understood);
      const length = [...title].length;
      if (length > 0 && length <= LONGEST_TITLE) {
        onAdd({ title, ...fields });
      } else {
        input.value = text;
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

/** @type {Parse | null} */
let parser = null;

/**
 * Do something with the parser: at once, if it was loaded. That is when something is typed.
 * @param {(parse: Parse) => void} run
 */
function withParser(run) {
  if (parser) {
    run(parser);
  } else {
    void import("./quick-add.js").then(({ parseQuickAdd }) => {
      parser = parseQuickAdd;
      run(parseQuickAdd);
    });
  }
}

/**
 * @param {ReturnType<Parse>} parsed
 * @param {string} zone
 * @returns {Chip[]}
 */
function chipsOf({ fields, spans }, zone) {
  const textsOf = (/** @type {string[]} */ ...kinds) => spans.filter((span) => kinds.includes(span.kind)).map((span) => span.text);
  const tagTexts = textsOf("tag");
  /** @type {(Chip | false)[]} */
  const chips = [
    fields.due_date !== undefined && {
      label: formatDue(fields.due_date, zone, Date.now()),
      icon: "calendar",
      texts: textsOf("date", "time").length > 0 ? textsOf("date", "time") : textsOf("repeat"),
    },
    fields.recurrence_rule !== undefined && {
      label: describeRule(fields.recurrence_rule, fields.repeat_from),
      icon: "repeat",
      texts: textsOf("repeat"),
    },
    fields.priority !== undefined && {
      label: PRIORITY_NAMES[fields.priority] ?? "",
      icon: "flag",
      texts: textsOf("priority"),
    },
    ...(fields.tags ?? []).map((tag) => ({
      label: tag,
      icon: "tag",
      texts: tagTexts.filter((text) => text.toLowerCase().replace(/[.,;:!?]+$/, "") === `#${tag.toLowerCase()}`),
    })),
  ];
  return chips.filter((chip) => chip !== false);
}
