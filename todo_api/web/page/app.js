/**
 * Decides what is shown: the views of an account without a signed-in user, otherwise the shell with
 * the tasks or the settings.
 */

import { OfflineError, OfflineTasks, TodoClient, TodoError } from "./client/todo.js";
import { Router } from "./router.js";
import { installServiceWorker } from "./shell/service-worker.js";
import { createShell } from "./shell/shell.js";
import { h, loadStyle, preloadModules } from "./ui/dom.js";
import { closeToasts } from "./ui/toast.js";

/**
 * @typedef {import("./shell/shell.js").Shell} Shell
 * @typedef {{ unmount: () => void }} Mounted
 */

/** In `localStorage`: the id of a user who has signed out, and whose copy is not deleted yet. */
const LEFT = "todo.left";
const ACCOUNT_PAGES = ["sign-in", "register", "forgot-password"];

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const client = new TodoClient();
const router = new Router();

/** The account view that is shown. @type {Mounted | null} */
let account = null;
/** The shell of the signed-in user. @type {{ userId: string, shell: Shell, opened: Promise<OfflineTasks> } | null} */
let signedIn = null;
/** The view within the shell. @type {{ name: string, mounted: Mounted } | null} */
let view = null;
let isExpired = false;
let isAccountLoaded = false;
/** The user who was signed in last, in this window. @type {string | null} */
let lastUserId = null;
/** The email of the user who was signed in last. */
let email = client.user?.email ?? "";
/** Where to go after signing in. */
let destination = router.href();
/** Counts the calls of `show`, so that one which has waited knows whether it is still the latest. */
let turn = 0;

/** Show what belongs to the address and the session. */
async function show() {
  turn += 1;
  const mine = turn;
  const page = pageOf(router.current);
  const isAccountPage = page === "reset-password" || ACCOUNT_PAGES.includes(page);
  if (!isAccountPage) destination = router.current.href;

  if (page !== "reset-password" && client.user) {
    if (isAccountPage) return router.go(destination, { replace: true });
    return showSignedIn(page === "settings" ? "settings" : "tasks", () => mine === turn);
  }

  const { mountAccount } = await loadAccount();
  if (mine !== turn) return;
  leave();
  account?.unmount();
  account = mountAccount({ root, client, router, page: isAccountPage ? page : "sign-in", email, isExpired });
}

/** The modules of the account views are fetched at the same time as their stylesheet. */
async function loadAccount() {
  if (!isAccountLoaded) preloadModules(["./account/account.js", "./account/form.js", "./account/passwords.js"]);
  isAccountLoaded = true;
  const [module] = await Promise.all([import("./account/account.js"), loadStyle("./styles/account.css")]);
  return module;
}

/**
 * @param {"settings" | "tasks"} name
 * @param {() => boolean} isLatest
 */
async function showSignedIn(name, isLatest) {
  if (name === "tasks") dispatchEvent(new Event("signedin"));
  const module = name === "settings" ? import("./account/settings.js") : import("./tasks/view.js");
  const { shell, opened } = enter();
  if (view?.name === name) return;
  view?.mounted.unmount();
  view = null;
  shell.main.replaceChildren(skeleton());
  const [loaded, offline] = await Promise.all([module, opened]);
  if (!isLatest()) return;
  shell.main.replaceChildren();
  const parts = { main: shell.main, nav: shell.nav, ui: shell.ui, client, offline, router };
  view = { name, mounted: "mountSettings" in loaded ? await loaded.mountSettings(parts) : await loaded.mountTasks(parts) };
}

/** Return the shell of the signed-in user, which is put up if it is not there. */
function enter() {
  const { id: userId, email: ownEmail } = /** @type {NonNullable<typeof client.user>} */ (client.user);
  if (signedIn?.userId === userId) return signedIn;
  leave();
  account?.unmount();
  account = null;
  isExpired = false;
  email = ownEmail ?? "";
  const shell = createShell({ root, router });
  const opened = OfflineTasks.open(client);
  signedIn = { userId, shell, opened };
  lastUserId = userId;
  void opened.then(shell.follow);
  void refreshProfile();
  return signedIn;
}

/** Read what may have changed on another device, such as the time zone. */
async function refreshProfile() {
  try {
    await client.profile();
  } catch (error) {
    if (!(error instanceof TodoError || error instanceof OfflineError)) throw error;
  }
}

/** Take down the shell of a user who is no longer signed in. Changes that were not sent stay stored. */
function leave() {
  view?.mounted.unmount();
  view = null;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  if (signedIn) closeToasts(); // they have titles of tasks
  for (const popover of document.querySelectorAll(".popover")) /** @type {HTMLElement} */ (popover).hidePopover();
  signedIn?.shell.remove();
  void signedIn?.opened.then((offline) => offline.close());
  signedIn = null;
}

/**
 * Delete the copy of a user who has signed out. If the window is closed meanwhile, the next start does.
 *
 * @param {string} userId
 */
async function forgetCopy(userId) {
  const storage = localStorageIfAllowed();
  storage?.setItem(LEFT, userId);
  storage?.removeItem("todo.collapsed");
  await OfflineTasks.forget(userId);
  storage?.removeItem(LEFT);
}

function localStorageIfAllowed() {
  try {
    return localStorage;
  } catch {
    return null; // the user has forbidden it
  }
}

function skeleton() {
  return h("div", { class: "skeleton", role: "status", "aria-label": "Loading" }, Array.from({ length: 6 }, () => h("span")));
}

/** @param {URL} url */
function pageOf(url) {
  if (url.pathname.endsWith("/reset-password")) return "reset-password";
  return url.searchParams.get("page") ?? "";
}

client.addEventListener("session", (event) => {
  const { reason } = /** @type {CustomEvent<{ reason: string }>} */ (event).detail;
  isExpired = reason === "expired";
  const userId = signedIn?.userId;
  if (!client.user) leave();
  if (reason === "signed-out") {
    if (userId) void forgetCopy(userId);
    router.go(router.href({ page: "sign-in" }), { replace: true });
    destination = router.href();
  } else if (client.user && lastUserId !== null && client.user.id !== lastUserId) {
    // The address is that of another user's search or task.
    destination = router.href();
    router.go(destination, { replace: true });
  } else void show();
});
const left = localStorageIfAllowed()?.getItem(LEFT);
if (left && left !== client.user?.id) void forgetCopy(left);
router.onNavigate(() => void show());
void show();
installServiceWorker();
