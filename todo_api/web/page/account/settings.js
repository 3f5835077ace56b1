/**
 * The settings: one section at a time, each with its own address.
 */

import { OfflineError, TodoError } from "../client/todo.js";
import { bindNavigationKeys } from "../shell/navigation-keys.js";
import { setTitle } from "../shell/shell.js";
import { openShortcuts } from "../shell/shortcuts.js";
import { TaskStore } from "../tasks/store.js";
import { clear, h, icon, loadStyle } from "../ui/dom.js";
import { openDialog } from "../ui/dialog.js";
import { toast } from "../ui/toast.js";
import { devices } from "./devices.js";
import { createField, createForm, message, notice } from "./form.js";
import { assessPassword, checkPassword, PASSWORD_RULES } from "./passwords.js";
import { ownTimeZone, readable, timeZoneField } from "./time-zones.js";

/**
 * @typedef {import("../client/client.js").Profile} Profile
 *
 * @typedef {object} Parts
 * @property {HTMLElement} main
 * @property {import("../client/todo.js").TodoClient} client
 * @property {import("../client/todo.js").OfflineTasks} offline
 * @property {import("../router.js").Router} router
 * @property {import("../shell/shell.js").Ui} ui
 *
 * @typedef {(parts: Parts, profile: Profile) => Node[]} Section
 */

/** @type {{ name: string, label: string, create: Section }[]} */
const SECTIONS = [
  { name: "profile", label: "Profile", create: profileSection },
  { name: "preferences", label: "Preferences", create: preferencesSection },
  { name: "password", label: "Password", create: passwordSection },
  { name: "devices", label: "Devices", create: ({ client }) => [devices(client)] },
  { name: "data", label: "Your data", create: dataSection },
  { name: "about", label: "About", create: aboutSection },
];

/**
 * Show the settings in `main`.
 *
 * @param {Parts} parts
 * @returns {Promise<{ unmount: () => void }>}
 */
export async function mountSettings(parts) {
  const { main, router } = parts;
  await loadStyle("./styles/account.css");
  let shown = "";
  const body = h("div", { class: "settings-body" });
  const links = SECTIONS.map(({ name, label }) =>
    h("a", { class: "tab", href: router.href({ page: "settings", section: name === "profile" ? null : name }), dataset: { section: name }, text: label }),
  );
  main.append(h("div", { class: "settings" }, h("h1", { text: "Settings" }), h("nav", { class: "tabs", "aria-label": "Settings" }, links), body));

  const show = async () => {
    if (router.current.searchParams.get("page") !== "settings") return;
    const wanted = router.current.searchParams.get("section");
    const section = SECTIONS.find(({ name }) => name === wanted) ?? SECTIONS[0];
    if (!section || section.name === shown) return;
    shown = section.name;
    setTitle(section.name === "profile" ? "Settings" : `${section.label} – Settings`);
    for (const link of links) {
      link.removeAttribute("aria-current");
      if (link.dataset.section !== section.name) continue;
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" });
    }
    const profile = await readProfile(parts);
    if (section.name !== shown) return;
    clear(body).append(h("h2", { class: "visually-hidden", text: section.label }), ...(profile ? section.create(parts, profile) : [unavailable(retry)]));
  };
  const retry = () => {
    shown = "";
    void show();
  };
  const leaving = new AbortController();
  const stop = router.onNavigate(() => void show());
  bindNavigationKeys(parts, leaving.signal);
  fillNavigation(parts, leaving.signal);
  await show();
  return {
    unmount: () => {
      stop();
      leaving.abort();
      clear(main);
    },
  };
}

/**
 * Keep the numbers and the tags of the side navigation up to date, as the views of tasks do.
 *
 * @param {Parts} parts
 * @param {AbortSignal} signal
 */
function fillNavigation({ client, offline, ui }, signal) {
  const store = new TaskStore(offline, () => client.user?.time_zone ?? "UTC");
  const fill = () => {
    ui.setCounts(store.counts());
    ui.setTags(store.tags());
  };
  offline.addEventListener("change", fill, { signal });
  fill();
}

/**
 * Return the profile as it was read last. It is read again if it has never been.
 *
 * @param {Parts} parts
 * @returns {Promise<Profile | null>} `null` without a connection
 */
async function readProfile({ client }) {
  const { user } = client;
  if (user?.time_zone !== undefined && user.reminder_emails !== undefined) return /** @type {Profile} */ (user);
  try {
    return await client.profile();
  } catch (error) {
    if (error instanceof OfflineError || error instanceof TodoError) return null;
    throw error;
  }
}

/** @param {() => void} retry */
function unavailable(retry) {
  return h(
    "div",
    { class: "state" },
    icon("offline"),
    h("h3", { text: "The service cannot be reached." }),
    h("p", { text: "Settings can be changed when you are online again." }),
    h("button", { type: "button", class: "button", text: "Try again", on: { click: retry } }),
  );
}

/** @type {Section} */
function profileSection(parts, profile) {
  const { client } = parts;
  const name = createField({ name: "name", label: "Name", value: profile.name, autocomplete: "name", maxLength: 100 });
  const email = createField({ name: "email", label: "Email", type: "email", value: profile.email ?? "", autocomplete: "email", maxLength: 254, optional: profile.email === null });
  const password = createField({
    name: "current_password",
    label: "Current password",
    type: "password",
    autocomplete: "current-password",
    optional: true,
    hint: "A new email needs your password.",
    check: (value) => (isNewEmail() && value === "" ? "Enter your current password." : null),
  });
  let known = profile.email ?? "";
  const isNewEmail = () => email.input.value.trim() !== known;
  const update = () => {
    password.element.hidden = !isNewEmail();
  };
  email.input.addEventListener("input", update);
  update();
  const form = createForm({
    fields: [name, email, password],
    submit: "Save",
    send: async (values) => {
      const change = isNewEmail() ? { email: values.email?.trim(), current_password: values.current_password } : {};
      const saved = await client.updateProfile({ name: values.name?.trim(), ...change });
      known = saved.email ?? "";
      name.input.value = saved.name;
      password.input.value = "";
      update();
      toast("Saved.");
    },
  });
  const leave = h("button", { type: "button", class: "button", on: { click: () => void signOut(parts) } }, icon("sign-out"), "Sign out");
  return [form.element, h("hr"), h("div", {}, leave)];
}

/** @type {Section} */
function preferencesSection({ client }, profile) {
  /** @param {Parameters<typeof client.updateProfile>[0]} changes @param {() => void} undo */
  const save = async (changes, undo) => {
    try {
      await client.updateProfile(changes);
      toast("Saved.");
    } catch (error) {
      undo();
      toast(message(error));
    }
  };
  let zone = profile.time_zone;
  /** @param {string} chosen */
  const saveZone = async (chosen) => {
    const before = zone;
    zone = chosen;
    await save({ time_zone: chosen }, () => {
      zone = before;
    });
    field.set(zone);
    suggestion.hidden = zone === ownTimeZone;
  };
  const field = timeZoneField(zone, (chosen) => void saveZone(chosen));
  const suggestion = notice(
    h(
      "div",
      { class: "row-wrap" },
      h("span", { text: `This device uses ${readable(ownTimeZone)}.` }),
      h("button", { type: "button", class: "link-button", text: "Use it", on: { click: () => void saveZone(ownTimeZone) } }),
    ),
    "info",
  );
  suggestion.hidden = zone === ownTimeZone;

  const emails = h("input", {
    type: "checkbox",
    role: "switch",
    checked: profile.reminder_emails,
    on: {
      change: () => {
        const wanted = emails.checked;
        void save({ reminder_emails: wanted }, () => {
          emails.checked = !wanted;
        });
      },
    },
  });
  return [
    h("div", { class: "stack" }, field.element, suggestion),
    h("hr"),
    h("label", { class: "switch" }, emails, h("span", {}, h("span", { class: "block", text: "Reminders by email" }), h("span", { class: "hint", text: "They are also shown here while the page is open." }))),
    h("hr"),
    themeField(),
  ];
}

const THEMES = [
  { value: "system", label: "System", icon: "system" },
  { value: "light", label: "Light", icon: "sun" },
  { value: "dark", label: "Dark", icon: "moon" },
];

function themeField() {
  const current = localStorage.getItem("todo.theme") ?? "system";
  const choices = THEMES.map(({ value, label, icon: name }) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name: "theme", value, checked: value === current, on: { change: () => setTheme(value) } }),
      h("span", {}, icon(name), label),
    ),
  );
  return h("fieldset", { class: "field" }, h("legend", { class: "label", text: "Theme" }), h("div", { class: "segmented" }, choices));
}

/** @param {string} theme */
function setTheme(theme) {
  if (theme === "system") localStorage.removeItem("todo.theme");
  else localStorage.setItem("todo.theme", theme);
  dispatchEvent(new Event("themechange"));
}

/** @type {Section} */
function passwordSection({ client }, profile) {
  const current = createField({ name: "current_password", label: "Current password", type: "password", autocomplete: "current-password" });
  const fresh = createField({
    name: "new_password",
    label: "New password",
    type: "password",
    autocomplete: "new-password",
    hint: PASSWORD_RULES,
    check: checkPassword,
    assess: assessPassword,
  });
  const form = createForm({
    fields: [current, fresh],
    submit: "Change the password",
    extra: [h("p", { class: "hint", text: "All other devices are signed out." })],
    send: async ({ current_password: before = "", new_password: after = "" }) => {
      await client.changePassword(before, after);
      form.element.reset();
      fresh.input.dispatchEvent(new Event("input"));
      toast("Your password is changed.");
    },
  });
  const user = h("input", { type: "text", name: "username", value: profile.email ?? "", autocomplete: "username", hidden: true });
  form.element.prepend(user);
  return [form.element];
}

/** @type {Section} */
function dataSection(parts) {
  const { client, offline } = parts;
  const download = h("button", { type: "button", class: "button", on: { click: () => void save() } }, icon("download"), "Download");
  const save = async () => {
    download.setAttribute("aria-busy", "true");
    try {
      if (offline.pending > 0) await offline.sync();
      saveFile(await client.exportAccount(), `todo-${new Date().toISOString().slice(0, 10)}.json`);
    } catch (error) {
      toast(message(error));
    } finally {
      download.removeAttribute("aria-busy");
    }
  };
  const remove = h("button", { type: "button", class: "button danger", on: { click: () => void deleteAccount(parts) } }, icon("trash"), "Delete the account");
  return [
    h("section", { class: "stack" }, h("div", {}, h("h3", { text: "Export" }), h("p", { class: "muted", text: "One file with your profile, your devices and all of your tasks, as JSON." })), h("div", {}, download)),
    h("hr"),
    h("section", { class: "stack" }, h("div", {}, h("h3", { text: "Delete the account" }), h("p", { class: "muted", text: "Deletes you and everything that is yours, permanently and at once." })), h("div", {}, remove)),
  ];
}

/** @param {Blob} content @param {string} name */
function saveFile(content, name) {
  const url = URL.createObjectURL(content);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {Parts} parts */
async function deleteAccount({ client }) {
  const password = createField({ name: "current_password", label: "Your password", type: "password", autocomplete: "current-password" });
  const problem = h("div", { role: "alert" });
  const chosen = await openDialog({
    title: "Delete your account?",
    body: [h("p", { text: "All of your tasks, your profile and your devices are deleted. This cannot be undone." }), problem, password.element],
    actions: [
      { label: "Keep it", value: "keep" },
      {
        label: "Delete the account",
        value: "delete",
        kind: "danger",
        run: async () => {
          clear(problem);
          const missing = password.check();
          if (missing) {
            password.setError(missing);
            password.input.focus();
            return false;
          }
          try {
            await client.deleteAccount(password.input.value);
            return true;
          } catch (error) {
            const isPassword = error instanceof TodoError && error.errors.some(({ pointer }) => pointer === "/current_password");
            if (isPassword) {
              password.setError(message(error));
              password.input.focus();
            } else problem.append(notice(message(error)));
            return false;
          }
        },
      },
    ],
  });
  if (chosen !== "delete") return;
  toast("Your account is deleted.");
}

/**
 * Sign out, and delete the copy on this device. Asks only if changes would be lost.
 *
 * @param {Parts} parts
 */
async function signOut({ client, offline }) {
  if (offline.pending > 0) await offline.sync().catch(() => undefined);
  if (offline.pending > 0) {
    const chosen = await openDialog({
      title: "Sign out and lose changes?",
      body: `${offline.pending === 1 ? "1 change was" : `${offline.pending} changes were`} not sent yet, since the service cannot be reached. Signing out deletes what is stored on this device.`,
      actions: [
        { label: "Sign out", value: "leave", kind: "danger" },
        { label: "Stay signed in", value: "stay", kind: "primary" },
      ],
    });
    if (chosen !== "leave") return;
  }
  await client.logout();
}

/** @type {Section} */
function aboutSection() {
  return [
    h("p", { class: "muted", text: "This page opens without a connection and sends your changes when there is one again. To have it as an app, choose “Install” or “Add to home screen” in the menu of your browser." }),
    h(
      "ul",
      { class: "about" },
      h("li", {}, h("button", { type: "button", class: "nav-item", on: { click: () => void openShortcuts() } }, icon("keyboard"), "Keyboard shortcuts", h("kbd", { text: "?", class: "nav-count", "aria-hidden": true }))),
      h("li", {}, h("a", { class: "nav-item", href: "./docs" }, icon("book"), "Documentation of the API")),
    ),
  ];
}
