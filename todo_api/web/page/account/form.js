/**
 * Forms whose errors are shown at their fields, in the words of the service.
 */

import { OfflineError, TodoError } from "../client/todo.js";
import { clear, h, icon, iconButton, uniqueId } from "../ui/dom.js";

/**
 * @typedef {object} FieldOptions
 * @property {string} name that of the field in the API, to which its errors point
 * @property {string} label
 * @property {string} [type] `text` if it is missing
 * @property {string} [value]
 * @property {AutoFill} [autocomplete]
 * @property {string} [hint]
 * @property {number} [maxLength]
 * @property {boolean} [optional]
 * @property {(value: string) => string | null} [check] what is wrong with a value, checked before it is sent
 * @property {(value: string) => string} [assess] a hint while the user types
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {HTMLElement} element
 * @property {HTMLInputElement} input
 * @property {(message: string | null) => void} setError
 * @property {() => string | null} check what is wrong with the value now
 */

/**
 * Create a field with its label, hint and error. A password can be made visible.
 *
 * @param {FieldOptions} options
 * @returns {Field}
 */
export function createField({ name, label, type = "text", value = "", autocomplete, hint, maxLength, optional, check, assess }) {
  const id = uniqueId(name);
  const input = h("input", {
    class: "input",
    id,
    name,
    type,
    value,
    required: !optional,
    dir: type === "text" ? "auto" : "ltr",
    autocapitalize: type === "text" ? "words" : "none",
    spellcheck: false,
    autocomplete,
    maxlength: maxLength,
    "aria-describedby": [hint || assess ? `${id}-hint` : "", `${id}-error`].join(" ").trim(),
  });
  const error = h("p", { class: "error", id: `${id}-error`, hidden: true });
  const hintElement = (hint || assess) && h("p", { class: "hint", id: `${id}-hint`, text: hint ?? "" });

  /** @param {string | null} message */
  const setError = (message) => {
    error.hidden = !message;
    clear(error);
    if (message) error.append(icon("warning"), h("span", { text: message }));
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  input.addEventListener("input", () => {
    if (!error.hidden) setError(null);
    if (assess && hintElement) hintElement.textContent = input.value ? assess(input.value) : (hint ?? "");
  });

  const control = type === "password" ? h("div", { class: "input-group" }, input, revealButton(input)) : input;
  return {
    name,
    input,
    setError,
    element: h("div", { class: "field" }, h("label", { for: id, text: label }), control, hintElement, error),
    check: () => {
      if (!optional && input.value.trim() === "") return `${label} is required.`;
      return check?.(input.value) ?? null;
    },
  };
}

/** @param {HTMLInputElement} input */
function revealButton(input) {
  const button = iconButton("eye", "Show the password", () => {
    const isHidden = input.type === "password";
    input.type = isHidden ? "text" : "password";
    const label = isHidden ? "Hide the password" : "Show the password";
    button.replaceChildren(icon(isHidden ? "eye-off" : "eye"));
    button.title = label;
    button.setAttribute("aria-label", label);
  });
  return button;
}

/**
 * Create a form. Enter submits it; while it is being sent, it cannot be sent again.
 *
 * @param {object} options
 * @param {Field[]} options.fields
 * @param {string} options.submit the label of the button
 * @param {(values: Record<string, string>) => Promise<void>} options.send
 *   throws the errors of the client, which are shown
 * @param {"primary" | "plain"} [options.kind] of the button
 * @param {Node[]} [options.extra] between the fields and the button
 * @param {(error: unknown) => Node | string | null} [options.explain] what to say instead about an error
 * @returns {{ element: HTMLFormElement, focus: () => void, submit: HTMLButtonElement }}
 */
export function createForm({ fields, submit: label, send, kind = "primary", extra = [], explain }) {
  const summary = h("div", { role: "alert" });
  const submit = h("button", { type: "submit", class: kind === "primary" ? "button button-primary" : "button", text: label });

  /** @param {Record<string, string | null>} messages by the name of their field */
  const showFieldErrors = (messages) => {
    const wrong = fields.filter((field) => messages[field.name]);
    for (const field of fields) field.setError(messages[field.name] ?? null);
    wrong[0]?.input.focus();
    return wrong.length > 0;
  };
  const onSubmit = async () => {
    clear(summary);
    if (showFieldErrors(Object.fromEntries(fields.map((field) => [field.name, field.check()])))) return;
    submit.setAttribute("aria-busy", "true");
    const values = Object.fromEntries(fields.map((field) => [field.name, field.input.value]));
    try {
      await send(values);
    } catch (error) {
      const own = explain?.(error);
      if (!own && showFieldErrors(fieldErrors(error))) return;
      summary.append(notice(own ?? message(error)));
    } finally {
      submit.removeAttribute("aria-busy");
    }
  };
  const element = h(
    "form",
    {
      class: "form",
      noValidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          if (!submit.hasAttribute("aria-busy")) void onSubmit();
        },
      },
    },
    summary,
    fields.map((field) => field.element),
    extra,
    submit,
  );
  return { element, submit, focus: () => fields.find((field) => !field.input.value)?.input.focus() };
}

/**
 * Return what a user can do about an error.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function message(error) {
  if (error instanceof OfflineError) return "The service cannot be reached. Check your connection and try again.";
  if (!(error instanceof TodoError)) throw error;
  if (error.status === 429) return `Too many attempts. Try again ${after(error.retryAfter)}.`;
  if (error.status === 503) return "The service is not available at the moment. Try again in a minute.";
  if (error.status >= 500) return "Something went wrong at the service. Try again in a minute.";
  return error.errors[0]?.message ?? error.detail;
}

/** @param {number | null | undefined} seconds */
function after(seconds) {
  if (!seconds) return "in a minute";
  if (seconds < 90) return `in ${seconds} seconds`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 90) return `in ${minutes} minutes`;
  const time = new Date(Date.now() + seconds * 1000);
  return `after ${time.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}`;
}

/** @param {unknown} error @returns {Record<string, string>} messages by the name of their field */
function fieldErrors(error) {
  if (!(error instanceof TodoError)) return {};
  if (error.code === "email_taken") return { email: error.detail };
  return Object.fromEntries(error.errors.map(({ pointer, message: text }) => [pointer.split("/").at(-1) ?? "", text]));
}

/**
 * @param {Node | string} content
 * @param {"error" | "warning" | "info"} [kind]
 */
export function notice(content, kind = "error") {
  const className = kind === "info" ? "notice" : `notice notice-${kind}`;
  return h("div", { class: className }, icon(kind === "info" ? "info" : "warning"), h("div", {}, content));
}
