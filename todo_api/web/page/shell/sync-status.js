/**
 * Says, as quietly as it can, whether everything is saved.
 */

import { announce } from "../ui/announce.js";
import { h, icon } from "../ui/dom.js";

/** How long writes may take before the status says that they are on their way, in milliseconds. */
const PATIENCE = 800;

/**
 * Create the status of an offline copy. A click synchronizes now.
 *
 * @param {import("../client/todo.js").OfflineTasks} offline
 * @returns {{ element: HTMLElement, stop: () => void }}
 */
export function syncStatus(offline) {
  const text = h("span", { class: "sync-text" });
  const element = h("button", { type: "button", class: "sync", on: { click: () => void offline.sync() } });
  /** @type {number | undefined} */
  let timer;
  let shown = "";

  /** @param {string} state @param {string} name @param {string} label @param {string} visible */
  const show = (state, name, label, visible) => {
    text.textContent = visible;
    element.title = label;
    element.setAttribute("aria-label", label);
    if (state === shown) return;
    element.dataset.state = state;
    element.replaceChildren(icon(name), text);
    if (state === "offline" || shown === "offline") announce(label);
    shown = state;
  };
  const update = () => {
    const { state, pending } = offline;
    element.dataset.pending = String(pending);
    clearTimeout(timer);
    if (state === "offline") show("offline", "offline", offlineLabel(pending), pending > 0 ? `Offline, ${pending} waiting` : "Offline");
    else if (state === "loading") show("loading", "cloud", "Loading your tasks.", "");
    else if (pending === 0) show("synced", "cloud", "All changes are saved.", "");
    else if (shown === "syncing") show("syncing", "sync", savingLabel(pending), `Saving ${pending}`);
    else timer = setTimeout(() => show("syncing", "sync", savingLabel(offline.pending), `Saving ${offline.pending}`), PATIENCE);
  };

  // The copy finds out by itself only when it has something to send.
  const onConnectionLost = () => void offline.sync();
  offline.addEventListener("state", update);
  addEventListener("offline", onConnectionLost);
  update();
  if (!shown) show("synced", "cloud", "All changes are saved.", "");
  return {
    element,
    stop: () => {
      clearTimeout(timer);
      offline.removeEventListener("state", update);
      removeEventListener("offline", onConnectionLost);
    },
  };
}

/** @param {number} count */
function offlineLabel(count) {
  return count > 0
    ? `You are offline. ${changes(count)} will be sent when the service can be reached again.`
    : "You are offline. Changes are kept on this device until the service can be reached again.";
}

/** @param {number} count */
function savingLabel(count) {
  return `Saving ${changes(count)}.`;
}

/** @param {number} count */
function changes(count) {
  return count === 1 ? "1 change" : `${count} changes`;
}
