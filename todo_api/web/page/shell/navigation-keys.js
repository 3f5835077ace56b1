/**
 * The keyboard shortcuts that lead elsewhere, for views without shortcuts of their own.
 */

import { VIEWS } from "./shell.js";
import { openShortcuts } from "./shortcuts.js";

/** How long `g` waits for the key of a view, in milliseconds. */
const PATIENCE = 1500;

/**
 * Follow the shortcuts until the signal is aborted. They do nothing in fields, menus and dialogs.
 *
 * @param {{ router: import("../router.js").Router, ui: import("./shell.js").Ui }} parts
 * @param {AbortSignal} signal
 */
export function bindNavigationKeys({ router, ui }, signal) {
  let lastG = -Infinity;
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
    const view = event.timeStamp - lastG < PATIENCE ? VIEWS.find(({ key }) => key === event.key) : undefined;
    lastG = event.key === "g" ? event.timeStamp : -Infinity;
    if (view) router.go(router.href(view.params));
    else if (event.key === "/") ui.focusSearch();
    else if (event.key === "?") void openShortcuts();
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", onKey, { signal });
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof Element && target.closest("input, select, textarea, dialog, .popover") !== null;
}
