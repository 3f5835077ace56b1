/**
 * The view of the tasks: the list with what belongs to it, for the address that is shown.
 */

import { openShortcuts } from "../shell/shortcuts.js";
import { announce } from "../ui/announce.js";
import { h, loadStyle } from "../ui/dom.js";
import { toast } from "../ui/toast.js";
import { TaskActions } from "./actions.js";
import { Collapsed } from "./collapsed.js";
import { addDays } from "./dates.js";
import { createEmptyState } from "./empty-state.js";
import { createFilterBar } from "./filter-bar.js";
import { filterParams, parseFilter } from "./filters.js";
import { History } from "./history.js";
import { bindKeyboard } from "./keyboard.js";
import { addLabel, emptyState, titleOf } from "./labels.js";
import { OpenTask } from "./open-task.js";
import { stepPlace } from "./places.js";
import { createQuickAdd } from "./quick-add-field.js";
import { Selection } from "./selection.js";
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

const LEAVING_MS = 700;
const MINUTE_MS = 60_000;

/**
 * Show the tasks of the signed-in user.
 * @param {Parts} parts
 * @returns {{ unmount: () => void }}
 */
export function mountTasks(parts) {
  void loadStyle("./styles/tasks.css");
  const view = new TaskView(parts);
  return { unmount: () => view.unmount() };
}

export class TaskView {
  #parts;
  #leaving = new AbortController();
  /** @type {Set<string>} keys of tasks that stay for a moment */
  #lingering = new Set();
  #frame = 0;
  #minute = 0;
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
      onAdd: (fields) => this.#add(fields),
      onLeave: () => this.list.focusActive(),
    });
    this.filterBar = createFilterBar(this);
    this.state = createEmptyState();
    this.collapsed = new Collapsed();
    this.opened = new OpenTask(this);
    this.#mount();
    this.panels = import("./panels.js");
    void this.panels.then((panels) => this.#addPanels(panels));
    this.opened.followAddress();
  }

  get parts() {
    return this.#parts;
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
      isLeaving: (row) => this.#lingering.has(row.key),
    });
    bindKeyboard(this, signal);
    showSyncMessages(this, signal);
    offline.addEventListener("change", (event) => this.#onChange(/** @type {CustomEvent} */ (event).detail), { signal });
    offline.addEventListener("state", () => this.refresh(), { signal });
    client.addEventListener("profile", () => this.#onChange({ ids: null, replaced: new Map() }), { signal });
    signal.addEventListener("abort", router.onNavigate(() => this.#onNavigate()));
    document.addEventListener("visibilitychange", () => this.refresh(), { signal });
    this.show({ keepsPlace: false });
    this.store.prepareSearch();
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
      this.#showSelection();
    }
  }

  /** Show the list again soon, since something has changed. */
  refresh() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.show();
    });
  }

  /** @param {{ ids: number[] | null, replaced: Map<number, number> }} change */
  #onChange({ replaced }) {
    this.actions.noteReplaced(replaced);
    this.store.invalidate();
    if (this.isTrash) {
      void this.trash.load();
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
      const isTyping = Boolean(filter.search) && Boolean(this.filter.search);
      this.filter = filter;
      this.#lingering.clear();
      this.selection.clear();
      this.show({ keepsPlace: false });
      if (!isTyping) {
        scrollTo({ top: 0, behavior: "instant" });
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
    const shown = { collapsed: new Set([...this.collapsed.keys, ...open]), lingering: new Set([...this.#lingering, ...open]) };
    const { rows, count } = this.isTrash ? this.trash.rows(this.filter, this.store.zone) : this.store.rows(this.filter, shown);
    const title = titleOf(this.filter);
    this.heading.textContent = title;
    ui.setTitle(title);
    this.quickAdd.element.hidden = this.isTrash || this.filter.status === "completed" || this.filter.search !== "";
    this.quickAdd.setLabel(addLabel(this.filter));
    this.list.setAttribute("aria-label", title);
    this.list.show(rows, { keepsPlace, isTrash: this.isTrash });
    this.list.hidden = rows.length === 0;
    const { tasks } = this.list;
    this.count.textContent = count === 0 ? "" : String(count);
    this.filterBar.show(this.filter);
    this.selection.keep(new Set(tasks.map((row) => row.key)));
    const { overdue, ...counts } = this.store.counts();
    ui.setCounts(counts);
    ui.setTags(this.store.tags());
    this.state.show(rows.length === 0 ? this.#emptyState() : null);
    if (this.filter.search) {
      announceSoon(count === 1 ? "1 task found." : `${count} tasks found.`);
    }
  }

  #emptyState() {
    const { offline } = this.#parts;
    if (offline.state === "loading" || (this.isTrash && this.trash.isLoading)) {
      return "loading";
    }
    return this.isTrash && this.trash.error ? { icon: "offline", ...this.trash.error } : emptyState(this.filter);
  }

  /** @param {import("./quick-add.js").Fields & { title: string }} fields */
  #add(fields) {
    const { view, tags, priority } = this.filter;
    const [only] = priority;
    const due = view === "today" ? this.store.today : view === "upcoming" ? addDays(this.store.today, 1) : undefined;
    const task = this.actions.create(
      /** @type {import("./actions.js").NewTask} */ ({
        ...(due ? { due_date: due } : {}),
        ...(priority.length === 1 ? { priority: only } : {}),
        ...fields,
        ...(tags.length > 0 ? { tags: [...tags, ...(fields.tags ?? [])] } : {}),
      }),
    );
    this.store.invalidate();
    this.show();
    if (!this.list.row(task.key)) {
      toast(`“${task.title}” added to All tasks.`, { action: { label: "Show", run: () => this.#parts.router.go(this.#parts.router.href({}, `task=${task.id}`)) } });
    }
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
        return this.complete([row.task], !row.task.completed);
      case "select":
        return this.selection.toggle(row.key);
      case "fold":
        return this.fold(row.key);
      case "menu":
        return this.#openMenu(row, event);
      case "restore":
        return this.trash.restore([row.task], this.actions);
      case "erase":
        return void this.trash.erase([row.task]);
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

  /**
   * Move a task one step.
   * @param {TaskRow} row
   * @param {"up" | "down" | "in" | "out"} direction
   */
  step(row, direction) {
    const place = stepPlace(this.list.tasks, row.key, direction);
    if (place) {
      this.move(row.task, place);
    } else {
      announce("It cannot be moved there.");
    }
  }

  /**
   * Move a task to another place, and keep the keyboard on it.
   * @param {LocalTask} task
   * @param {import("./actions.js").Place} place
   */
  move(task, place) {
    const parent = place.parent_id ? this.store.get(place.parent_id) : undefined;
    if (parent) {
      this.collapsed.set(parent.key, false);
    }
    const text = parent ? `“${task.title}” is a subtask of “${parent.title}”.` : `“${task.title}” moved.`;
    this.actions.move(task, place, text);
    this.store.invalidate();
    this.show();
    this.list.activate(task.key);
  }

  /**
   * Move tasks to the trash.
   * @param {readonly LocalTask[]} tasks
   */
  remove(tasks) {
    this.actions.remove(tasks);
    this.store.invalidate();
    this.show();
  }

  /**
   * Add a subtask.
   * @param {LocalTask} parent
   * @param {import("./quick-add.js").Fields & { title: string }} fields
   */
  addSubtask(parent, fields) {
    const last = this.store.children(parent.id).at(-1);
    const task = this.actions.create(/** @type {import("./actions.js").NewTask} */ ({ ...fields, parent_id: parent.id }));
    if (last) {
      // A new task comes first, but what is typed below others belongs there.
      this.parts.offline.move(task.id, { after: last.id });
    }
    this.store.invalidate();
    this.refresh();
  }

  /** Focus the field that adds a task, in a view that has it. */
  startAdding() {
    if (this.quickAdd.element.hidden) {
      this.parts.router.go(this.parts.router.href());
    }
    this.quickAdd.focus();
    this.quickAdd.element.scrollIntoView({ block: "nearest" });
  }

  /**
   * Edit a field of the task with the keyboard or, if the field can be, of the selected tasks.
   * @param {string} part
   */
  editTargets(part) {
    const row = this.list.active;
    if (this.selection.keys.size > 0 && part !== "title") {
      this.#selectionBar?.open(part);
    } else if (row) {
      void this.opened.open(row.task, part);
    }
  }

  showShortcuts() {
    openShortcuts();
  }

  /**
   * Complete or reopen tasks. They stay in the list for a moment.
   * @param {readonly LocalTask[]} tasks
   * @param {boolean} completed
   */
  complete(tasks, completed) {
    const keys = tasks.map((task) => task.key);
    keys.forEach((key) => this.#lingering.add(key));
    this.actions.complete(tasks, completed);
    this.store.invalidate();
    this.refresh();
    setTimeout(() => {
      keys.forEach((key) => this.#lingering.delete(key));
      this.refresh();
    }, LEAVING_MS);
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

  /** The tasks that a command is for: the selected ones, or the one with the keyboard. */
  get targets() {
    const rows = this.list.tasks.filter((row) => this.selection.has(row.key));
    const active = this.list.active;
    return rows.length > 0 ? rows.map((row) => row.task) : active ? [active.task] : [];
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
