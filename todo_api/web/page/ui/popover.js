/**
 * A panel that floats beside an element: menus, date pickers and the like.
 */

import { h } from "./dom.js";

const GAP = 4;
const MARGIN = 8;

/**
 * Open a panel below an element, or above it where there is more space. A click elsewhere and
 * Escape close it. The focus then returns to the element, unless it was moved elsewhere.
 *
 * @param {Element} anchor
 * @param {Node | Node[]} content
 * @param {object} [options]
 * @param {string} [options.label] the name of the panel
 * @param {string} [options.role] `dialog` if it is missing
 * @param {string} [options.className] further classes
 * @param {{ x: number, y: number }} [options.at] where to open it instead, such as the pointer
 * @param {() => void} [options.onClose]
 * @returns {{ element: HTMLElement, close: () => void, place: () => void }}
 */
export function openPopover(anchor, content, { label, role = "dialog", className = "", at, onClose } = {}) {
  const panel = h("div", { class: `popover ${className}`.trim(), popover: "auto", role, tabIndex: -1, "aria-label": label }, content);
  const close = () => panel.isConnected && panel.hidePopover();
  const place = () => position(panel, at ? new DOMRect(at.x, at.y, 0, 0) : anchor.getBoundingClientRect(), getComputedStyle(anchor).direction === "rtl");
  const wasExpanded = anchor.hasAttribute("aria-haspopup");

  panel.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    const returns = panel.contains(document.activeElement) || document.activeElement === document.body;
    removeEventListener("resize", place);
    panel.remove();
    if (wasExpanded) anchor.setAttribute("aria-expanded", "false");
    if (returns && anchor instanceof HTMLElement && anchor.isConnected) anchor.focus({ preventScroll: true });
    onClose?.();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close();
  });

  // Within the same landmark, so that screen readers know where it belongs.
  (anchor.closest("dialog, main, nav, header") ?? document.body).append(panel);
  panel.showPopover();
  if (wasExpanded) anchor.setAttribute("aria-expanded", "true");
  place();
  addEventListener("resize", place);
  const first = panel.querySelector("[autofocus], input, textarea, select, button, a[href], [tabindex='0']");
  (first instanceof HTMLElement ? first : panel).focus({ preventScroll: true });
  return { element: panel, close, place };
}

/**
 * @param {HTMLElement} panel
 * @param {DOMRect} anchor
 * @param {boolean} fromRight
 */
function position(panel, anchor, fromRight) {
  const { offsetWidth: width, offsetHeight: height } = panel;
  const { clientWidth, clientHeight } = document.documentElement;
  const wanted = fromRight ? anchor.right - width : anchor.left;
  const left = Math.max(MARGIN, Math.min(wanted, clientWidth - width - MARGIN));
  const below = anchor.bottom + GAP;
  const above = anchor.top - GAP - height;
  const top = below + height + MARGIN <= clientHeight || above < MARGIN ? below : above;
  panel.style.setProperty("left", `${left}px`);
  panel.style.setProperty("top", `${Math.max(MARGIN, Math.min(top, clientHeight - height - MARGIN))}px`);
}
