/**
 * Menus, used with the arrow keys, Home, End, the first letter of an item, Enter and Escape.
 */

import { h, icon } from "./dom.js";
import { openPopover } from "./popover.js";

/**
 * @typedef {object} MenuItem
 * @property {string} label
 * @property {() => void} run
 * @property {string} [icon]
 * @property {string} [shortcut] the key that does the same
 * @property {boolean} [checked] makes it one of several choices
 * @property {boolean} [danger]
 * @property {boolean} [disabled]
 */

/**
 * Open a menu beside an element.
 *
 * @param {Element} anchor
 * @param {(MenuItem | { heading: string } | "separator")[]} items
 * @param {{ label?: string, at?: { x: number, y: number }, onClose?: () => void }} [options]
 * @returns {{ close: () => void }}
 */
export function openMenu(anchor, items, { label = "Menu", at, onClose } = {}) {
  /** @type {(() => void) | undefined} */
  let chosen;
  const nodes = items.map((item) => {
    if (item === "separator") return h("hr", { role: "separator" });
    if ("heading" in item) return h("div", { class: "menu-heading", role: "presentation", text: item.heading });
    return menuItem(item, () => {
      chosen = item.run;
      popover.close();
    });
  });
  const popover = openPopover(anchor, nodes, {
    label,
    at,
    role: "menu",
    className: "menu",
    onClose: () => {
      onClose?.();
      chosen?.();
    },
  });
  const choices = [...popover.element.querySelectorAll("button")];
  const current = choices.find((choice) => choice.getAttribute("aria-checked") === "true") ?? choices[0];
  current?.focus({ preventScroll: true });
  popover.element.addEventListener("keydown", (event) => onKey(event, choices, popover.close));
  return { close: popover.close };
}

/** @param {MenuItem} item @param {() => void} choose */
function menuItem(item, choose) {
  const isChoice = item.checked !== undefined;
  return h(
    "button",
    {
      type: "button",
      class: item.danger ? "menu-item danger" : "menu-item",
      role: isChoice ? "menuitemradio" : "menuitem",
      tabIndex: -1,
      "aria-checked": isChoice ? item.checked : null,
      "aria-disabled": item.disabled ? true : null,
      "aria-keyshortcuts": item.shortcut,
      on: {
        click: () => item.disabled || choose(),
        pointermove: (event) => /** @type {HTMLElement} */ (event.currentTarget).focus({ preventScroll: true }),
      },
    },
    item.icon && icon(item.icon),
    h("span", { class: "truncate", text: item.label, dir: "auto" }),
    item.checked && icon("check", "icon-checked"),
    item.shortcut && h("kbd", { text: item.shortcut, "aria-hidden": true }),
  );
}

/** @param {KeyboardEvent} event @param {HTMLButtonElement[]} choices @param {() => void} close */
function onKey(event, choices, close) {
  const at = choices.findIndex((choice) => choice === document.activeElement);
  const target = {
    ArrowDown: choices[(at + 1) % choices.length],
    ArrowUp: choices[(Math.max(at, 0) - 1 + choices.length) % choices.length],
    Home: choices[0],
    End: choices.at(-1),
  }[event.key];
  if (target) {
    event.preventDefault();
    target.focus();
  } else if (event.key === "Tab") {
    event.preventDefault();
    close();
  } else if (event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey) {
    const letter = event.key.toLowerCase();
    const following = [...choices.slice(at + 1), ...choices.slice(0, at + 1)];
    following.find((choice) => choice.textContent?.trim().toLowerCase().startsWith(letter))?.focus();
  }
  event.stopPropagation();
}
