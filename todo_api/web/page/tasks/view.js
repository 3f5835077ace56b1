/**
 * The view of the tasks: the list with what belongs to it, for the address that is shown.
 */

import { announce } from "../ui/announce.js";
import { h } from "../ui/dom.js";
import { TaskActions } from "./actions.js";
import { TaskCommands } from "./commands.js";
import { createFilterBar } from "./filter-bar.js";
import { filterParams, parseFilter } from "./filters.js";
import { History } from "./history.js";
import { bindKeyboard } from "./keyboard.js";
import { addLabel, createEmptyState, emptyState, titleOf } from "./labels.js";
import { lazy } from "./lazy.js";
import { OpenTask } from "./open-task.js";
import { createQuickAdd, lazyParser } from "./quick-add-field.js";
import { Collapsed, Selection } from "./row-state.js";
import { TaskStore } from "./store.js";
import { showSyncMessages } from "./sync-messages.js";
import { createTaskList } from "./task-list.js";
import { Trash } from "./trash.js";

/** @typedef {import("../../client/todo.js").LocalTask} LocalTask */
/** @typedef {import("../../client/todo.js").OfflineTasks} OfflineTasks */
/** @typedef {import("../../client/todo.js").TodoClient} TodoClient */
/** @typedef {import("../router.js").Router} Router */
/** @typedef {import("../shell/shell.js").Ui} Ui */
/** @typedef {import("./store.js").TaskRow} TaskRow */
/** @typedef {{ main: HTMLElement, nav: HTMLElement, client: TodoClient, offline: OfflineTasks, router: Router, ui: Ui }} Parts */

const PANELS_MS = 400;
const MINUTE_MS = 60_000;

/**
 * Show the tasks of the signed-in user.
 * @param {Parts} parts
 * @returns {{ unmount: () => void }}
 */
export function mountTasks(parts) {
  const view = new TaskView(parts);
  return { unmount: () => view.unmount() };
}

export class TaskView {
  #parts;
  #leaving = new AbortController();
  #frame = 0;
  #keepsPlace = true;
  #minute = 0;
  #panels = lazy(async () => {
    const panels = await import("./panels.js");
    this.#addPanels(panels);
    return panels;
  });
  /** @type {ReturnType<typeof import("./selection-bar.js").createSelectionBar> | null} */
  #selectionBar = null;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    const { offline, client, router } = parts;
    this.store = new TaskStore(offline, () => client.user?.time_zone ?? "UTC");
    this.history = new History();
    this.actions = new TaskActions(offline, this.store, this.history);
    this.trash = new Trash({ client, onChange: () => this.refresh() });
    this.selection = new Selection(() => this.#showSelection());
    this.filter = parseFilter(router.current.searchParams);
    this.list = createTaskList();
    this.heading = h("h1", { tabIndex: -1, dir: "auto" });
    this.count = h("span", { class: "view-count" });
    this.quickAdd = createQuickAdd({
      label: "Add a task",
      zone: () => this.store.zone,
      onAdd: (fields) => this.commands.add(fields),
      onLeave: () => this.list.focusActive(),
    });
    this.filterBar = createFilterBar(this);
    this.state = createEmptyState();
    this.collapsed = new Collapsed();
    this.opened = new OpenTask(this);
    this.commands = new TaskCommands(this);
    this.#mount();
    this.opened.followAddress();
  }

  get parts() {
    return this.#parts;
  }

  /** What is needed when the user does something. It is loaded a moment after the list, or at once. */
  get panels() {
    return this.#panels.load();
  }

  get isTrash() {
    return this.filter.view === "trash";
  }

  unmount() {
    this.opened.close({ goes: false });
    this.#leaving.abort();
    cancelAnimationFrame(this.#frame);
    clearInterval(this.#minute);
    this.list.stop();
    this.#parts.main.replaceChildren();
  }

  #mount() {
    const { main, offline, client, router } = this.#parts;
    const { signal } = this.#leaving;
    main.replaceChildren(
      h("header", { class: "view-head" }, this.heading, this.count, h("div", { class: "view-tools" }, this.filterBar.tools)),
      this.filterBar.element,
      this.quickAdd.element,
      this.list,
      this.state.element,
    );
    this.list.start({
      onAction: (action, row, event) => this.act(action, row, event),
      href: (task) => router.href(filterParams(this.filter), `task=${task.id}`),
      zone: () => this.store.zone,
      today: () => this.store.today,
      isLeaving: (row) => this.#isLeaving(row),
    });
    bindKeyboard(this, signal);
    showSyncMessages(this, signal);
    offline.addEventListener("change", (event) => this.#onChange(/** @type {CustomEvent} */ (event).detail), { signal });
    offline.addEventListener("state", () => this.refresh(), { signal });
    client.addEventListener("profile", () => this.#onChange({ ids: null }), { signal });
    signal.addEventListener("abort", router.onNavigate(() => this.#onNavigate()));
    document.addEventListener("visibilitychange", () => this.refresh(), { signal });
    this.show({ keepsPlace: false });
    this.store.prepareSearch();
    const load = () => this.#panels.loadAhead();
    const loading = setTimeout(load, PANELS_MS);
    signal.addEventListener("abort", () => clearTimeout(loading));
    for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) {
      document.addEventListener(name, load, { signal, once: true, passive: true });
    }
    // What is overdue, and at midnight also what is due today, changes without a change of a task.
    this.#minute = setInterval(() => this.refresh(), MINUTE_MS);
  }

  /** @param {typeof import("./panels.js")} panels */
  #addPanels({ createSelectionBar, enableDrag }) {
    const { signal } = this.#leaving;
    if (!signal.aborted) {
      this.#selectionBar = createSelectionBar(this);
      this.#parts.main.append(this.#selectionBar.element);
      enableDrag(this, signal);
      lazyParser.loadAhead();
      this.#showSelection();
    }
  }

  /**
   * Show the list with the next frame, since something has changed.
   * @param {{ keepsPlace?: boolean }} [options] whether what is in sight stays in place
   */
  refresh({ keepsPlace = true } = {}) {
    this.#keepsPlace &&= keepsPlace;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.show({ keepsPlace: this.#keepsPlace });
      this.#keepsPlace = true;
    });
  }

  /** @param {{ ids: number[] | null }} change */
  #onChange({ ids }) {
    this.store.invalidate();
    if (this.isTrash) {
      void this.trash.load();
    }
    if (ids === null) {
      // The task of the address may have been loaded only now.
      this.opened.followAddress();
    }
    this.refresh();
  }

  #onNavigate() {
    const { router } = this.#parts;
    const filter = parseFilter(router.current.searchParams);
    const isSame = JSON.stringify(filter) === JSON.stringify(this.filter);
    if (router.current.searchParams.has("page")) {
      return;
    }
    if (!isSame) {
      this.opened.close({ goes: false });
      const isTyping = filter.search !== "" && this.filter.search !== "";
      this.filter = filter;
      this.commands.lingering.clear();
      this.selection.clear();
      scrollTo({ top: 0, behavior: "instant" });
      if (isTyping) {
        // Several letters that come faster than frames are shown at once.
        this.refresh({ keepsPlace: false });
      } else {
        this.show({ keepsPlace: false });
      }
    }
    this.opened.followAddress();
  }

  /**
   * Show the list as it is now.
   * @param {{ keepsPlace?: boolean }} [options] whether what is in sight stays in place
   */
  show({ keepsPlace = true } = {}) {
    const { ui } = this.#parts;
    if (this.isTrash && !keepsPlace) {
      void this.trash.load();
    }
    // An open task stays, whatever the filter says, and has its subtasks in its card.
    const open = this.opened.key === null ? [] : [this.opened.key];
    const shown = { collapsed: new Set([...this.collapsed.keys, ...open]), lingering: new Set([...this.commands.lingering, ...open]) };
    const { rows, count } = this.isTrash ? this.trash.rows(this.filter, this.store.zone) : this.store.rows(this.filter, shown);
    const title = titleOf(this.filter);
    this.heading.textContent = title;
    ui.setTitle(title);
    this.quickAdd.element.hidden = this.isTrash || this.filter.status === "completed" || this.filter.search !== "";
    this.quickAdd.setLabel(addLabel(this.filter));
    this.list.setAttribute("aria-label", title);
    this.list.show(rows, { keepsPlace, isTrash: this.isTrash });
    this.list.hidden = rows.length === 0;
    if (this.opened.key !== null && !this.list.row(this.opened.key)) {
      // It was deleted, here or elsewhere.
      this.opened.close();
    }
    this.count.textContent = count === 0 ? "" : String(count);
    this.filterBar.show(this.filter);
    if (this.selection.isOn) {
      this.selection.keep(new Set(this.list.tasks.map((row) => row.key)));
    }
    const { overdue, ...counts } = this.store.counts();
    ui.setCounts(counts);
    ui.setTags(this.store.tags());
    this.state.show(rows.length === 0 ? this.#emptyState() : null);
    if (this.filter.search) {
      announceSoon(count === 1 ? "1 task found." : `${count} tasks found.`);
    }
  }

  /**
   * Return whether a task has just been completed or reopened, and so is no longer in this view.
   * @param {TaskRow} row
   */
  #isLeaving({ key, task }) {
    const { status } = this.filter;
    return this.commands.lingering.has(key) && status !== "all" && task.completed !== (status === "completed");
  }

  #emptyState() {
    const { offline } = this.#parts;
    if (offline.state === "loading" || (this.isTrash && this.trash.isLoading)) {
      return "loading";
    }
    return this.isTrash && this.trash.error ? { icon: "offline", ...this.trash.error } : emptyState(this.filter);
  }

  /**
   * Do what a part of a row is for.
   * @param {string} action
   * @param {TaskRow} row
   * @param {MouseEvent} [event]
   */
  act(action, row, event) {
    event?.preventDefault();
    switch (action) {
      case "complete":
        return this.commands.complete([row.task], !row.task.completed);
      case "select":
        return this.selection.toggle(row.key);
      case "fold":
        return this.fold(row.key);
      case "menu":
        return this.#openMenu(row, event);
      case "restore":
        return this.trash.restore([row.task], this.actions);
      case "erase":
        return void this.commands.erase([row.task]);
      default:
        return this.#openOrSelect(row, event);
    }
  }

  /**
   * @param {TaskRow} row
   * @param {MouseEvent} [event]
   */
  #openOrSelect(row, event) {
    if (this.isTrash) {
      return;
    }
    if (event && (event.metaKey || event.ctrlKey || this.selection.isOn)) {
      this.selection.toggle(row.key);
    } else if (event?.shiftKey) {
      this.selection.extend(this.list.tasks.map((each) => each.key), row.key, this.list.active?.key ?? row.key);
    } else {
      void this.opened.open(row.task);
    }
  }

  /**
   * @param {TaskRow} row
   * @param {MouseEvent} [event]
   */
  #openMenu(row, event) {
    const button = event?.target instanceof Element ? event.target.closest("button") : null;
    const anchor = button ?? this.list.rows.elementOf(row.key);
    if (anchor) {
      void this.panels.then(({ openTaskMenu }) => openTaskMenu(this, row, anchor));
    }
  }

  /** Whether tasks can be moved: in the order by hand only. */
  get canReorder() {
    const { sort, search } = this.filter;
    return sort.field === "position" && !sort.descending && search === "" && !this.isTrash;
  }

  /** Focus the field that adds a task, in a view that has it. */
  startAdding() {
    if (this.quickAdd.element.hidden) {
      this.parts.router.go(this.parts.router.href());
    }
    this.quickAdd.focus();
    this.quickAdd.element.scrollIntoView({ block: "nearest" });
  }

  async showShortcuts() {
    const { openShortcuts } = await import("../shell/shortcuts.js");
    openShortcuts();
  }

  /**
   * Show or hide the subtasks of a task.
   * @param {string} key
   * @param {boolean} [isExpanded]
   */
  fold(key, isExpanded = this.collapsed.keys.has(key)) {
    this.collapsed.set(key, !isExpanded);
    this.refresh();
  }

  /**
   * Edit a field of the selected tasks.
   * @param {string} part
   */
  openBulk(part) {
    this.#selectionBar?.open(part);
  }

  #showSelection() {
    this.list.showSelection(this.selection.keys, this.selection.isOn);
    this.#selectionBar?.show(this.selection.keys.size, this.selection.isOn);
  }
}

let announcing = 0;

/** @param {string} text */
function announceSoon(text) {
  clearTimeout(announcing);
  announcing = setTimeout(announce, 600, text);
}
