/**
 * What surrounds every view of a signed-in user: side navigation, search, status, and `main`.
 */

import { clear, h, icon, iconButton } from "../ui/dom.js";
import { syncStatus } from "./sync-status.js";

/**
 * @typedef {import("../router.js").Router} Router
 * @typedef {import("../client/todo.js").OfflineTasks} OfflineTasks
 *
 * @typedef {object} Ui what a view may ask of the shell
 * @property {(title: string) => void} setTitle sets the title of the document
 * @property {(counts: Record<string, number>) => void} setCounts
 *   sets the numbers beside the views `all`, `today`, `upcoming`, `completed` and `trash`; 0 is not shown
 * @property {(tags: { name: string, count: number }[]) => void} setTags lists the tags
 * @property {() => void} focusSearch
 *
 * @typedef {object} Shell
 * @property {HTMLElement} element
 * @property {HTMLElement} main
 * @property {HTMLElement} nav
 * @property {Ui} ui
 * @property {(offline: OfflineTasks) => void} follow shows whether all changes of this copy are saved
 * @property {() => void} remove
 */

/** @type {{ view: string, label: string, icon: string, params: Record<string, string>, key: string }[]} */
export const VIEWS = [
  { view: "all", label: "All tasks", icon: "inbox", params: {}, key: "a" },
  { view: "today", label: "Today", icon: "today", params: { view: "today" }, key: "t" },
  { view: "upcoming", label: "Upcoming", icon: "upcoming", params: { view: "upcoming" }, key: "u" },
  { view: "completed", label: "Completed", icon: "done", params: { status: "completed" }, key: "c" },
  { view: "trash", label: "Trash", icon: "trash", params: { view: "trash" }, key: "d" },
];

/** @param {string} title */
export function setTitle(title) {
  document.title = title ? `${title} · Todo` : "Todo";
}

/**
 * Create the shell and put it into `root`.
 *
 * @param {{ root: HTMLElement, router: Router }} parts
 * @returns {Shell}
 */
export function createShell({ root, router }) {
  const main = h("main", { class: "main", id: "main", tabIndex: -1 });
  const search = createSearch(router, main);
  const status = h("div", { class: "sync-place" });
  /** @type {(() => void) | undefined} */
  let stopStatus;
  let isRemoved = false;
  const tags = h("ul", {});
  const tagSection = h("section", { class: "side-section", hidden: true, "aria-labelledby": "tags-heading" }, h("h2", { id: "tags-heading", text: "Tags" }), tags);
  const views = VIEWS.map((view) => h("li", {}, navItem(router.href(view.params), view.icon, view.label, { dataset: { view: view.view } })));
  const nav = h(
    "nav",
    { class: "side", id: "side", "aria-label": "Views" },
    h(
      "div",
      { class: "side-head" },
      h("a", { class: "brand", href: router.href() }, icon("circle-check"), "Todo"),
      iconButton("close", "Close the navigation", () => drawer.close(), { class: "icon-button side-close" }),
    ),
    h("ul", {}, views),
    tagSection,
    h("div", { class: "side-foot" }, navItem(router.href({ page: "settings" }), "settings", "Settings", { dataset: { view: "settings" } })),
  );
  const toggle = iconButton("menu", "Open the navigation", () => drawer.open(), { class: "icon-button top-menu", "aria-controls": "side", "aria-expanded": "false" });
  const content = h("div", { class: "content" }, h("header", { class: "top" }, toggle, search.element, status), main);
  const scrim = h("div", { class: "scrim", on: { click: () => drawer.close() } });
  const skip = h("a", {
    class: "skip-link",
    href: "#main",
    text: "Skip to the content",
    on: {
      click: (event) => {
        event.preventDefault();
        focusHeading(main);
      },
    },
  });
  const element = h("div", { class: "shell" }, skip, nav, scrim, content);
  const drawer = createDrawer(element, nav, content, toggle);

  /** @param {{ name: string, count: number }[]} list */
  const setTags = (list) => {
    const key = JSON.stringify(list);
    if (tags.dataset.key === key) return;
    tags.dataset.key = key;
    tagSection.hidden = list.length === 0;
    clear(tags).append(
      ...list.map(({ name, count }) => {
        // In a list of tags, a comma of a name is written with a backslash.
        const tag = name.replace(/[\\,]/g, "\\$&");
        return h("li", {}, navItem(router.href({ tags: tag }), "tag", name, { dataset: { tag } }, count));
      }),
    );
    markCurrent(nav, router.current);
  };

  const stop = router.onNavigate(({ from, to, kind }) => {
    markCurrent(nav, to);
    search.show(to);
    if (from.search === to.search && from.pathname === to.pathname) return;
    drawer.close();
    if (kind === "replace" || search.element.contains(document.activeElement)) return;
    scrollTo(0, 0);
    requestAnimationFrame(() => main.contains(document.activeElement) || document.querySelector("dialog[open]") || focusHeading(main));
  });

  markCurrent(nav, router.current);
  search.show(router.current);
  clear(root).append(element);
  return {
    element,
    main,
    nav,
    ui: {
      setTitle,
      setTags,
      focusSearch: search.focus,
      setCounts: (counts) => {
        for (const [view, count] of Object.entries(counts)) {
          const item = nav.querySelector(`[data-view="${view}"] .nav-count`);
          if (item) item.textContent = count > 0 ? String(count) : "";
        }
      },
    },
    follow: (offline) => {
      if (isRemoved) return;
      const followed = syncStatus(offline);
      status.append(followed.element);
      stopStatus = followed.stop;
    },
    remove: () => {
      isRemoved = true;
      stop();
      stopStatus?.();
      drawer.remove();
      element.remove();
    },
  };
}

/**
 * Focus the heading of a view, or the view if it has none.
 *
 * @param {HTMLElement} main
 */
function focusHeading(main) {
  const heading = main.querySelector("h1");
  if (heading) heading.tabIndex = -1;
  (heading ?? main).focus({ preventScroll: true });
}

/**
 * @param {string} href
 * @param {string} iconName
 * @param {string} label
 * @param {Record<string, unknown>} properties
 * @param {number} [count]
 */
function navItem(href, iconName, label, properties, count = 0) {
  return h(
    "a",
    { class: "nav-item", href, ...properties },
    icon(iconName),
    h("span", { class: "truncate", text: label, dir: "auto" }),
    h("span", { class: "nav-count", text: count > 0 ? String(count) : "" }),
  );
}

/** @param {HTMLElement} side @param {URL} url */
function markCurrent(side, url) {
  const query = url.searchParams;
  const isPlain = !["search", "priority", "tags"].some((name) => query.has(name));
  const view = query.get("page") ?? query.get("view") ?? (query.get("status") === "completed" ? "completed" : isPlain ? "all" : "");
  const tag = query.get("tags");
  for (const item of side.querySelectorAll("a.nav-item")) {
    const { view: own, tag: ownTag } = /** @type {HTMLElement} */ (item).dataset;
    const isCurrent = ownTag === undefined ? own === view && !query.has("search") : ownTag === tag;
    if (isCurrent) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
}

/**
 * The search field: each change is an address, and clearing it returns to where the search began.
 *
 * @param {Router} router
 * @param {HTMLElement} main
 */
function createSearch(router, main) {
  let origin = router.href();
  const input = h("input", {
    type: "search",
    name: "search",
    placeholder: "Search",
    maxLength: 200,
    autocomplete: "off",
    spellcheck: false,
    dir: "auto",
    "aria-label": "Search tasks",
    "aria-keyshortcuts": "/",
    on: {
      input: () => update(),
      keydown: (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        if (input.value) {
          input.value = "";
          update();
        } else focusHeading(main);
      },
    },
  });
  const update = () => {
    const isSearch = router.current.searchParams.has("search");
    if (!isSearch) origin = router.current.href;
    if (input.value.trim() === "") router.go(origin, { replace: true });
    else router.go(searchHref(router, input.value), { replace: isSearch });
  };
  const element = h(
    "form",
    {
      class: "top-search",
      role: "search",
      on: {
        submit: (event) => {
          event.preventDefault();
          focusHeading(main);
        },
      },
    },
    icon("search"),
    input,
    h("kbd", { text: "/", "aria-hidden": true }),
  );
  return {
    element,
    focus: () => {
      input.focus();
      input.select();
    },
    /** @param {URL} url */
    show: (url) => {
      if (document.activeElement !== input || !url.searchParams.has("search")) input.value = url.searchParams.get("search") ?? "";
    },
  };
}

/**
 * A search is in all open tasks; in the trash and in completed tasks it stays there.
 *
 * @param {Router} router
 * @param {string} text
 */
function searchHref(router, text) {
  const query = router.current.searchParams;
  return router.href({
    view: query.get("view") === "trash" ? "trash" : null,
    status: query.get("page") ? null : query.get("status"),
    search: text,
  });
}

/**
 * The side navigation as a drawer of narrow windows. While it is open, the rest is inert.
 *
 * @param {HTMLElement} shell
 * @param {HTMLElement} side
 * @param {HTMLElement} content
 * @param {HTMLElement} toggle
 */
function createDrawer(shell, side, content, toggle) {
  const narrow = matchMedia("(max-width: 899px)");
  /** @param {boolean} isOpen */
  const set = (isOpen) => {
    shell.dataset.drawer = isOpen ? "open" : "closed";
    content.inert = isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
  };
  const close = () => {
    if (shell.dataset.drawer !== "open") return;
    const hadFocus = side.contains(document.activeElement);
    set(false);
    if (hadFocus) toggle.focus();
  };
  const onWidth = () => set(false);
  set(false);
  narrow.addEventListener("change", onWidth);
  side.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  return {
    close,
    open: () => {
      set(true);
      const current = side.querySelector("[aria-current]") ?? side.querySelector("a.nav-item");
      if (current instanceof HTMLElement) current.focus();
    },
    remove: () => narrow.removeEventListener("change", onWidth),
  };
}
