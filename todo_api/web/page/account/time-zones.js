/**
 * A field that finds a time zone by a part of its name.
 */

import { h, icon, uniqueId } from "../ui/dom.js";

const MOST = 60;

/** The time zone of this browser. */
export const ownTimeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/**
 * Create a combobox (WAI-ARIA: editable, with a list) of all time zones.
 *
 * @param {string} value the name of the current time zone
 * @param {(name: string) => void} choose
 * @returns {{ element: HTMLElement, set: (name: string) => void }}
 */
export function timeZoneField(value, choose) {
  const names = [...new Set([value, ownTimeZone, "UTC", ...Intl.supportedValuesOf("timeZone")])].sort();
  const id = uniqueId("time-zone");
  /** @type {HTMLElement[]} */
  let options = [];
  let active = -1;
  let current = value;

  const list = h("ul", { class: "options", id: `${id}-list`, role: "listbox", "aria-label": "Time zones", hidden: true });
  const input = h("input", {
    class: "input",
    id,
    value: readable(value),
    role: "combobox",
    autocomplete: "off",
    spellcheck: false,
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
    "aria-describedby": `${id}-hint`,
    on: {
      focus: () => input.select(),
      click: () => open(""),
      input: () => open(input.value),
      blur: () => close(),
      keydown: (event) => onKey(event),
    },
  });

  /** @param {string} text */
  const open = (text) => {
    const wanted = fold(text);
    const found = names.filter((name) => fold(name).includes(wanted)).slice(0, wanted ? MOST : undefined);
    options = found.map((name, index) => option(name, index));
    list.replaceChildren(...options, ...(found.length === 0 ? [h("li", { class: "muted", text: "No time zone has this name." })] : []));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    activate(wanted ? 0 : found.indexOf(current));
  };
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    input.value = readable(current);
  };
  /** @param {number} index */
  const activate = (index) => {
    options[active]?.setAttribute("aria-selected", "false");
    active = options[index] ? index : -1;
    const chosen = options[active];
    if (!chosen) return input.removeAttribute("aria-activedescendant");
    chosen.setAttribute("aria-selected", "true");
    input.setAttribute("aria-activedescendant", chosen.id);
    chosen.scrollIntoView({ block: "nearest" });
  };
  /** @param {string | undefined} name */
  const pick = (name) => {
    const isNew = name !== undefined && name !== current;
    if (isNew) current = name;
    close();
    if (isNew) choose(name);
  };
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    const isOpen = !list.hidden;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) {
      event.preventDefault();
      if (!isOpen) open("");
      else activate(Math.max(0, Math.min(options.length - 1, active + step)));
    } else if (event.key === "Enter" && isOpen) {
      event.preventDefault();
      pick(options[active]?.dataset.name);
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  };
  /** @param {string} name @param {number} index */
  const option = (name, index) =>
    h(
      "li",
      {
        id: `${id}-${index}`,
        role: "option",
        "aria-selected": "false",
        dataset: { name },
        on: {
          pointerdown: (event) => event.preventDefault(),
          click: () => pick(name),
        },
      },
      h("span", { class: "truncate", text: readable(name) }),
      name === current && icon("check", "icon-small"),
    );

  const element = h(
    "div",
    { class: "field" },
    h("label", { for: id, text: "Time zone" }),
    h("div", { class: "combobox" }, input, icon("chevron-down"), list),
    h("p", { class: "hint", id: `${id}-hint`, text: "Days and reminders begin and end by its clocks. Type to search." }),
  );
  return {
    element,
    set: (name) => {
      current = name;
      close();
    },
  };
}

/**
 * Return the name of a time zone as it is shown.
 *
 * @param {string} name such as `America/New_York`
 */
export function readable(name) {
  return name.replaceAll("_", " ").replaceAll("/", " / ");
}

/** @param {string} text */
function fold(text) {
  return text.toLowerCase().replaceAll(/[\s_/]+/g, "");
}
