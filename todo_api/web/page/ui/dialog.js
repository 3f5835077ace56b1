/**
 * Modal dialogs.
 */

import { clear, h, iconButton, uniqueId } from "./dom.js";

/**
 * @typedef {object} DialogAction
 * @property {string} label
 * @property {string} [value] what `openDialog` returns; the label if it is missing
 * @property {"primary" | "danger" | "plain"} [kind]
 * @property {() => boolean | void | Promise<boolean | void>} [run]
 *   runs first; if it returns `false`, the dialog stays open
 */

/**
 * Open a dialog. Enter in a field of the body runs the last action; Escape and the button "Close"
 * return `null`. The focus returns to where it was.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {string | Node | Node[]} [options.body]
 * @param {DialogAction[]} [options.actions] from left to right, the one that the dialog is for last
 * @param {boolean} [options.wide]
 * @returns {Promise<string | null>} the value of the action
 */
export function openDialog({ title, body = [], actions = [], wide = false }) {
  return new Promise((resolve) => {
    const label = uniqueId("dialog");
    /** @param {string | null} value */
    const finish = (value) => {
      dialog.close();
      clear(dialog).remove();
      resolve(value);
    };
    /** @param {DialogAction} action @param {HTMLButtonElement} button */
    const run = async (action, button) => {
      button.setAttribute("aria-busy", "true");
      try {
        if ((await action.run?.()) === false) return;
      } finally {
        button.removeAttribute("aria-busy");
      }
      finish(action.value ?? action.label);
    };
    const buttons = actions.map((action, index) => {
      const kind = action.kind && action.kind !== "plain" ? ` button-${action.kind}` : "";
      const isLast = index === actions.length - 1;
      const button = h("button", { type: isLast ? "submit" : "button", class: `button${kind}`, text: action.label });
      if (!isLast) button.addEventListener("click", () => run(action, button));
      return button;
    });
    const form = h(
      "form",
      {
        method: "dialog",
        noValidate: true,
        on: {
          submit: (event) => {
            event.preventDefault();
            const action = actions.at(-1);
            const button = buttons.at(-1);
            if (action && button && !button.hasAttribute("aria-busy")) run(action, button);
          },
        },
      },
      h("div", { class: "dialog-head" }, h("h2", { id: label, text: title }), iconButton("close", "Close", () => finish(null))),
      h("div", { class: "dialog-body" }, typeof body === "string" ? h("p", { text: body }) : body),
      buttons.length > 0 && h("div", { class: "dialog-actions" }, buttons),
    );
    const dialog = h(
      "dialog",
      {
        class: wide ? "dialog dialog-wide" : "dialog",
        "aria-labelledby": label,
        on: {
          close: () => finish(null),
          click: (event) => {
            if (event.target === dialog && event.detail > 0) finish(null);
          },
        },
      },
      form,
    );
    document.body.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector("[autofocus], .dialog-body input, .dialog-body textarea, .dialog-body select");
    const focus = first instanceof HTMLElement ? first : (buttons[0] ?? dialog);
    focus.focus();
  });
}
