/**
 * Messages for screen readers that are not visible.
 */

import { h } from "./dom.js";

const region = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
document.body.append(region);

/**
 * Have a screen reader say a text, after what it says now. The same text is said again.
 *
 * @param {string} text
 */
export function announce(text) {
  const message = h("p", { text });
  region.replaceChildren(message);
  setTimeout(() => message.remove(), 10_000);
}
