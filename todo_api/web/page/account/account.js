/**
 * The views of a user who is not signed in: sign in, register, forgot password, reset password.
 */

import { TodoError } from "../client/todo.js";
import { setTitle } from "../shell/shell.js";
import { clear, h, icon } from "../ui/dom.js";
import { createField, createForm, notice } from "./form.js";
import { assessPassword, checkPassword, PASSWORD_RULES } from "./passwords.js";

/**
 * @typedef {object} Parts
 * @property {HTMLElement} root
 * @property {import("../client/todo.js").TodoClient} client
 * @property {import("../router.js").Router} router
 * @property {string} page `sign-in`, `register`, `forgot-password` or `reset-password`
 * @property {boolean} isExpired whether the session has ended without the user's doing
 * @property {string} email of the user who was signed in last, or empty
 *
 * @typedef {object} View
 * @property {string} title
 * @property {Node[]} content
 * @property {() => void} [focus] where to begin; at the heading if it is missing
 */

/** What was typed as an email in another of these views. */
let lastEmail = "";

/**
 * Show one of the views.
 *
 * @param {Parts} parts
 * @returns {{ unmount: () => void }}
 */
export function mountAccount(parts) {
  const views = { "sign-in": signIn, register, "forgot-password": forgotPassword, "reset-password": resetPassword };
  const view = views[/** @type {keyof typeof views} */ (parts.page)](parts);
  show(parts, view);
  return { unmount: () => clear(parts.root) };
}

/** @param {Parts} parts @param {View} view */
function show({ root, router }, { title, content, focus }) {
  const heading = h("h1", { text: title, tabIndex: -1 });
  const brand = h("a", { class: "brand", href: router.href() }, icon("circle-check"), "Todo");
  const foot = h("p", { class: "account-foot small" }, h("a", { href: "./docs", text: "Documentation of the API" }));
  clear(root).append(h("div", { class: "account" }, h("header", {}, brand), h("main", {}, heading, content), h("footer", {}, foot)));
  setTitle(title);
  if (focus && matchMedia("(pointer: fine)").matches) focus();
  else heading.focus();
}

/** @param {Parts} parts @returns {View} */
function signIn({ client, router, isExpired, email: known }) {
  const email = emailField(lastEmail || known);
  const password = createField({ name: "password", label: "Password", type: "password", autocomplete: "current-password" });
  const form = createForm({
    fields: [email, password],
    submit: "Sign in",
    extra: [h("p", { class: "account-aside small" }, h("a", { href: router.href({ page: "forgot-password" }), text: "Forgot your password?" }))],
    send: async ({ email: address = "", password: secret = "" }) => {
      await client.login({ email: address.trim(), password: secret });
    },
    explain: (error) =>
      error instanceof TodoError && error.code === "invalid_credentials" ? "The email or the password is wrong. Check both and try again." : null,
  });
  return {
    title: "Sign in",
    focus: form.focus,
    content: [
      isExpired && notice("Your session has ended. Sign in again to go on. Changes that were not sent yet are kept.", "warning"),
      form.element,
      h("p", { class: "account-switch" }, "New here? ", h("a", { href: router.href({ page: "register" }), text: "Create an account" })),
    ].filter((node) => node !== false),
  };
}

/** @param {Parts} parts @returns {View} */
function register({ client, router }) {
  const name = createField({ name: "name", label: "Name", autocomplete: "name", maxLength: 100 });
  const email = emailField(lastEmail);
  const password = newPasswordField("password", "Password");
  const toSignIn = () => h("a", { href: router.href({ page: "sign-in" }), text: "Sign in" });
  const form = createForm({
    fields: [name, email, password],
    submit: "Create account",
    send: async ({ name: ownName = "", email: address = "", password: secret = "" }) => {
      await client.register({ name: ownName.trim(), email: address.trim(), password: secret });
      await setTimeZone(client);
    },
    explain: (error) => {
      if (!(error instanceof TodoError) || error.code !== "registration_closed") return null;
      return h("span", {}, "No new accounts can be created here. If you have one: ", toSignIn(), ".");
    },
  });
  return {
    title: "Create an account",
    focus: form.focus,
    content: [form.element, h("p", { class: "account-switch" }, "Already have an account? ", toSignIn())],
  };
}

/**
 * A new profile has the time zone UTC; the browser knows the user's.
 *
 * @param {import("../client/todo.js").TodoClient} client
 */
async function setTimeZone(client) {
  try {
    await client.updateProfile({ time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  } catch {
    // The account is there all the same, and the settings suggest this time zone again.
  }
}

/** @param {Parts} parts @returns {View} */
function forgotPassword(parts) {
  const { client, router } = parts;
  const toSignIn = h("p", { class: "account-switch" }, h("a", { href: router.href({ page: "sign-in" }), text: "Back to sign in" }));
  const email = emailField(lastEmail);
  const form = createForm({
    fields: [email],
    submit: "Send the link",
    send: async ({ email: address = "" }) => {
      await client.forgotPassword(address.trim());
      show(parts, {
        title: "Check your email",
        content: [
          h("p", { class: "muted" }, "If there is an account with ", h("strong", { text: address.trim() }), ", a link is on its way to it. It works once, for ten minutes."),
          h("p", { class: "muted", text: "Nothing there? Look into the folder for spam, or try again with another email." }),
          toSignIn,
        ],
      });
    },
  });
  return {
    title: "Forgot your password?",
    focus: form.focus,
    content: [h("p", { class: "muted", text: "Enter the email of your account. You will get a link with which you choose a new password." }), form.element, toSignIn],
  };
}

/** The token of the link, which is taken out of the address. */
let resetToken = "";

/** @param {Parts} parts @returns {View} */
function resetPassword(parts) {
  const { client, router } = parts;
  const inAddress = router.current.searchParams.get("token");
  if (inAddress) {
    resetToken = inAddress;
    history.replaceState(null, "", router.current.pathname);
  }
  if (!resetToken) return brokenLink(router);
  const password = newPasswordField("new_password", "New password");
  const form = createForm({
    fields: [password],
    submit: "Set the new password",
    send: async ({ new_password: secret = "" }) => {
      try {
        await client.resetPassword(resetToken, secret);
      } catch (error) {
        if (!(error instanceof TodoError) || error.code !== "invalid_reset_token") throw error;
        resetToken = "";
        return show(parts, brokenLink(router));
      }
      resetToken = "";
      show(parts, {
        title: "Your password is changed",
        content: [
          h("p", { class: "muted", text: "All devices are signed out. Sign in with the new password." }),
          h("a", { class: "button button-primary button-wide", href: router.href({ page: "sign-in" }), text: "Sign in" }),
        ],
      });
    },
  });
  return { title: "Choose a new password", focus: form.focus, content: [form.element] };
}

/** @param {Parts["router"]} router @returns {View} */
function brokenLink(router) {
  return {
    title: "This link does not work any more",
    content: [
      h("p", { class: "muted", text: "A link works once, for ten minutes, and only the newest one. Ask for another one." }),
      h("a", { class: "button button-primary button-wide", href: router.href({ page: "forgot-password" }), text: "Send a new link" }),
    ],
  };
}

/** @param {string} value */
function emailField(value) {
  const field = createField({
    name: "email",
    label: "Email",
    type: "email",
    value,
    autocomplete: "username",
    maxLength: 254,
    check: (text) => (/^\S+@\S+$/.test(text.trim()) ? null : "Enter an email such as ada@example.com."),
  });
  field.input.addEventListener("input", () => {
    lastEmail = field.input.value;
  });
  return field;
}

/** @param {string} name @param {string} label */
function newPasswordField(name, label) {
  return createField({
    name,
    label,
    type: "password",
    autocomplete: "new-password",
    hint: PASSWORD_RULES,
    check: checkPassword,
    assess: assessPassword,
  });
}
