/**
 * Short messages at the bottom of the window, with at most one action, such as "Undo".
 */

import { announce } from "./announce.js";
import { h, icon } from "./dom.js";

const MOST = 3;

const region = h("div", { class: "toasts", popover: "manual", role: "region", "aria-label": "Messages" });
document.body.append(region);

/** Take all messages away. */
export function closeToasts() {
  if (!region.hasChildNodes()) return;
  region.replaceChildren();
  region.hidePopover();
}

/**
 * Show a message; the same message without an action is not shown twice. It stays while the pointer
 * or the focus is on it. Escape closes it, and F6 moves the focus to its action.
 *
 * @param {string} text
 * @param {{ action?: { label: string, run: () => void }, seconds?: number }} [options]
 *   `seconds`: how long the message stays; `Infinity` until it is closed
 * @returns {{ close: () => void }}
 */
export function toast(text, { action, seconds = 8 } = {}) {
  /** @type {number | undefined} */
  let timer;
  /** @type {Element | null} */
  let before = null;

  const close = () => {
    clearTimeout(timer);
    const hadFocus = element.contains(document.activeElement);
    element.remove();
    if (!region.hasChildNodes()) region.hidePopover();
    if (hadFocus && before instanceof HTMLElement && before.isConnected) before.focus();
  };
  const start = () => {
    clearTimeout(timer);
    if (Number.isFinite(seconds)) timer = setTimeout(close, seconds * 1000);
  };
  const element = h(
    "div",
    {
      class: "toast",
      on: {
        pointerenter: () => clearTimeout(timer),
        pointerleave: start,
        focusin: (event) => {
          clearTimeout(timer);
          if (event.relatedTarget instanceof Element && !region.contains(event.relatedTarget)) before = event.relatedTarget;
        },
        focusout: start,
        keydown: (event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          close();
        },
      },
    },
    h("p", { text, dir: "auto" }),
    action && h("button", { type: "button", text: action.label, on: { click: () => (close(), action.run()) } }),
    h("button", { type: "button", class: "toast-close", "aria-label": "Close the message", on: { click: close } }, icon("close", "icon-small")),
  );

  for (const other of region.children) if (other.firstElementChild?.textContent === text && !action) other.remove();
  while (region.children.length >= MOST) region.firstElementChild?.remove();
  region.append(element);
  if (region.matches(":popover-open")) region.hidePopover();
  region.showPopover();
  announce(action ? `${text} Press F6 for “${action.label}”.` : text);
  start();
  return { close };
}

document.addEventListener("keydown", (event) => {
  const button = region.querySelector("button");
  if (event.key !== "F6" || !button) return;
  event.preventDefault();
  button.focus();
});
