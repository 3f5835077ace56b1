/**
 * The view of the tasks: the list with what belongs to it, for the address that is shown.
 */

import { openShortcuts } from "../shell/shortcuts.js";
import { announce } from "../ui/announce.js";
import { h, icon, loadStyle } from "../ui/dom.js";
import { toast } from "../ui/toast.js";
import { TaskActions } from "./actions.js";
import { createCard } from "./card.js";
import { addDays } from "./dates.js";
import { enableDrag } from "./drag.js";
import { createFilterBar } from "./filter-bar.js";
import { filterParams, parseFilter } from "./filters.js";
import { History } from "./history.js";
import { bindKeyboard } from "./keyboard.js";
import { addLabel, emptyState, titleOf } from "./labels.js";
import { openTaskMenu } from "./menus.js";
import { stepPlace } from "./places.js";
import { createQuickAdd } from "./quick-add-field.js";
import { Selection } from "./selection.js";
import { createSelectionBar } from "./selection-bar.js";
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
const COLLAPSED = "todo.collapsed";

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
  /** @type {Set<string>} */
  #collapsed = readCollapsed();
  /** @type {Set<string>} keys of tasks that stay for a moment */
  #lingering = new Set();
  /** @type {{ id: number, key: string, card: ReturnType<typeof createCard> } | null} */
  #open = null;
  #openedHere = false;
  #frame = 0;
  #midnight = 0;

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
    this.state = h("div", { class: "task-state" });
    this.selectionBar = createSelectionBar(this);
    this.#mount();
  }

  get parts() {
    return this.#parts;
  }

  get isTrash() {
    return this.filter.view === "trash";
  }

  unmount() {
    this.closeCard({ goes: false });
    this.#leaving.abort();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#midnight);
    this.list.stop();
    this.#parts.main.replaceChildren();
    document.querySelector(".selection-bar")?.remove();
  }

  #mount() {
    const { main, offline, client, router } = this.#parts;
    const { signal } = this.#leaving;
    main.replaceChildren(
      h("header", { class: "view-head" }, this.heading, this.count, h("div", { class: "view-tools" }, this.filterBar.tools)),
      this.filterBar.element,
      this.quickAdd.element,
      this.list,
      this.state,
    );
    document.body.append(this.selectionBar.element);
    this.list.start({
      onAction: (action, row, event) => this.act(action, row, event),
      href: (task) => router.href(filterParams(this.filter), `task=${task.id}`),
      zone: () => this.store.zone,
      today: () => this.store.today,
      isLeaving: (row) => this.#lingering.has(row.key),
    });
    enableDrag(this, signal);
    bindKeyboard(this, signal);
    showSyncMessages(this, signal);
    offline.addEventListener("change", (event) => this.#onChange(/** @type {CustomEvent} */ (event).detail), { signal });
    offline.addEventListener("state", () => this.refresh(), { signal });
    client.addEventListener("profile", () => this.#onChange({ ids: null, replaced: new Map() }), { signal });
    signal.addEventListener("abort", router.onNavigate(() => this.#onNavigate()));
    document.addEventListener("visibilitychange", () => this.refresh(), { signal });
    this.#show({ keepsPlace: false });
    this.#openFromAddress();
    this.store.prepareSearch();
    this.#refreshAtMidnight();
  }

  /** Show the list again soon, since something has changed. */
  refresh() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#show({ keepsPlace: true });
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
      this.closeCard({ goes: false });
      const isTyping = Boolean(filter.search) && Boolean(this.filter.search);
      this.filter = filter;
      this.#lingering.clear();
      this.selection.clear();
      this.#show({ keepsPlace: false });
      if (!isTyping) {
        scrollTo({ top: 0, behavior: "instant" });
      }
    }
    this.#openFromAddress();
  }

  /** @param {{ keepsPlace: boolean }} options */
  #show({ keepsPlace }) {
    const { offline, ui } = this.#parts;
    if (this.isTrash && !keepsPlace) {
      void this.trash.load();
    }
    const kept = new Set([...this.#lingering, ...(this.#open ? [this.#open.key] : [])]);
    const rows = this.isTrash ? this.trash.rows(this.filter, this.store.zone) : this.store.rows(this.filter, { collapsed: this.#collapsed, lingering: kept });
    const title = titleOf(this.filter);
    this.heading.textContent = title;
    ui.setTitle(title);
    this.quickAdd.element.hidden = this.isTrash || this.filter.status === "completed" || this.filter.search !== "";
    this.quickAdd.setLabel(addLabel(this.filter));
    this.list.setAttribute("aria-label", title);
    this.list.show(rows, { keepsPlace, isTrash: this.isTrash });
    this.list.hidden = rows.length === 0;
    const { tasks } = this.list;
    this.count.textContent = tasks.length === 0 ? "" : String(tasks.length);
    this.filterBar.show(this.filter);
    this.selection.keep(new Set(tasks.map((row) => row.key)));
    const { overdue, ...counts } = this.store.counts();
    ui.setCounts(counts);
    ui.setTags(this.store.tags());
    this.#showState(rows.length === 0, offline.state === "loading" || (this.isTrash && this.trash.isLoading));
    if (this.filter.search) {
      announceSoon(tasks.length === 1 ? "1 task found." : `${tasks.length} tasks found.`);
    }
  }

  /**
   * @param {boolean} isEmpty
   * @param {boolean} isLoading
   */
  #showState(isEmpty, isLoading) {
    const key = JSON.stringify([isEmpty, isLoading, isEmpty && this.filter, this.trash.error]);
    if (this.state.dataset.key === key) {
      return;
    }
    this.state.dataset.key = key;
    if (!isEmpty) {
      this.state.replaceChildren();
    } else if (isLoading) {
      this.state.replaceChildren(skeleton());
    } else if (this.isTrash && this.trash.error) {
      this.state.replaceChildren(stateElement("offline", this.trash.error.title, this.trash.error.text));
    } else {
      const { icon: name, title, text, adds } = emptyState(this.filter);
      const shortcut = adds && h("p", { class: "state-shortcut" }, "Press ", h("kbd", { text: "n" }), " to add a task.");
      this.state.replaceChildren(stateElement(name, title, text, shortcut));
    }
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
    this.#show({ keepsPlace: true });
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
      this.openTask(row.task);
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
      openTaskMenu(this, row, anchor);
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
      this.#collapsed.delete(parent.key);
    }
    const text = parent ? `“${task.title}” is a subtask of “${parent.title}”.` : `“${task.title}” moved.`;
    this.actions.move(task, place, text);
    this.store.invalidate();
    this.#show({ keepsPlace: true });
    this.list.activate(task.key);
  }

  /**
   * Move tasks to the trash.
   * @param {readonly LocalTask[]} tasks
   */
  remove(tasks) {
    this.actions.remove(tasks);
    this.store.invalidate();
    this.#show({ keepsPlace: true });
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
      this.selectionBar.open(part);
    } else if (row) {
      this.openTask(row.task, part);
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
  fold(key, isExpanded = this.#collapsed.has(key)) {
    if (isExpanded) {
      this.#collapsed.delete(key);
    } else {
      this.#collapsed.add(key);
    }
    writeCollapsed(this.#collapsed);
    this.refresh();
  }

  /** The tasks that a command is for: the selected ones, or the one with the keyboard. */
  get targets() {
    const rows = this.list.tasks.filter((row) => this.selection.has(row.key));
    const active = this.list.active;
    return rows.length > 0 ? rows.map((row) => row.task) : active ? [active.task] : [];
  }

  /**
   * Open a task in its place.
   * @param {LocalTask} task
   * @param {string} [part] the field to edit
   */
  openTask(task, part = "") {
    const { router } = this.#parts;
    const isSwitch = this.#open !== null;
    this.#openedHere = this.#openedHere || !isSwitch;
    if (this.#open?.key !== task.key) {
      this.#openCard(task, part);
    }
    router.go(router.href(filterParams(this.filter), `task=${task.id}`), { replace: isSwitch });
  }

  /**
   * Close the card, and return to the list.
   * @param {{ goes?: boolean, focuses?: boolean }} [options] `goes`: whether the address changes
   */
  closeCard({ goes = true, focuses = false } = {}) {
    const open = this.#open;
    if (!open) {
      return;
    }
    open.card.close();
    this.#open = null;
    this.list.open(null, null);
    this.refresh();
    if (focuses) {
      this.list.activate(open.key);
    }
    if (goes) {
      const { router } = this.#parts;
      if (this.#openedHere) {
        history.back();
      } else {
        router.go(router.href(filterParams(this.filter)), { replace: true });
      }
    }
    this.#openedHere = false;
  }

  #openFromAddress() {
    const id = Number(/^#task=(-?\d+)$/.exec(this.#parts.router.current.hash)?.[1] ?? NaN);
    const task = Number.isNaN(id) ? undefined : this.store.get(id);
    if (task && this.#open?.key !== task.key) {
      this.#openCard(task, "");
    } else if (!task && this.#open) {
      const hadFocus = this.list.contains(document.activeElement);
      this.closeCard({ goes: false, focuses: hadFocus });
    }
  }

  /**
   * @param {LocalTask} task
   * @param {string} part
   */
  #openCard(task, part) {
    this.#open?.card.close();
    const parent = task.parent_id === null ? undefined : this.store.get(task.parent_id);
    if (parent) {
      this.#collapsed.delete(parent.key);
    }
    this.#open = { id: task.id, key: task.key, card: createCard(this, task) };
    this.#show({ keepsPlace: true });
    this.list.open(task.key, this.#open.card);
    this.list.rows.reveal(task.key, { top: 72, bottom: 16 });
    this.#open.card.focus(part);
  }

  /** The card of the open task. */
  get openCard() {
    return this.#open?.card ?? null;
  }

  #showSelection() {
    this.list.showSelection(this.selection.keys, this.selection.isOn);
    this.selectionBar.show(this.selection.keys.size, this.selection.isOn);
  }

  /** At midnight, “tomorrow” is today. */
  #refreshAtMidnight() {
    this.#midnight = setTimeout(() => {
      this.store.invalidate();
      this.refresh();
      this.#refreshAtMidnight();
    }, 60_000);
  }
}

let announcing = 0;

/** @param {string} text */
function announceSoon(text) {
  clearTimeout(announcing);
  announcing = setTimeout(announce, 600, text);
}

function skeleton() {
  const bars = Array.from({ length: 8 }, () => h("span"));
  return h("div", { class: "skeleton", role: "status", "aria-label": "Loading" }, bars);
}

/**
 * @param {string} name of the icon
 * @param {string} title
 * @param {string} text
 * @param {HTMLElement | false} [more]
 */
function stateElement(name, title, text, more = false) {
  return h("div", { class: "state" }, icon(name), h("h2", { text: title }), h("p", { text }), more);
}

/** @returns {Set<string>} */
function readCollapsed() {
  try {
    return new Set(JSON.parse(localStorage.getItem(COLLAPSED) ?? "[]"));
  } catch {
    return new Set();
  }
}

/** @param {ReadonlySet<string>} keys */
function writeCollapsed(keys) {
  try {
    localStorage.setItem(COLLAPSED, JSON.stringify([...keys].slice(-1000)));
  } catch {
    // Without storage, subtasks are shown again after a reload.
  }
}
