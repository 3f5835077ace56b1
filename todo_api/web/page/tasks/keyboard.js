/**
 * The keyboard shortcuts of the list. Keys without Ctrl or Cmd do nothing in fields.
 */

/** @typedef {import("./view.js").TaskView} TaskView */

const CHORD_MS = 1500;
const VIEWS = /** @type {Record<string, Record<string, string>>} */ ({
  a: {},
  t: { view: "today" },
  u: { view: "upcoming" },
  c: { status: "completed" },
  d: { view: "trash" },
});

/**
 * @param {TaskView} view
 * @param {AbortSignal} signal
 */
export function bindKeyboard(view, signal) {
  /** When `g` was pressed, which waits for the key of a view. */
  let chord = -Infinity;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || isElsewhere(event.target)) {
      return;
    }
    if ((event.ctrlKey || event.metaKey) && !event.altKey) {
      onControl(view, event);
      return;
    }
    const views = event.timeStamp - chord < CHORD_MS ? VIEWS[event.key] : undefined;
    chord = event.key === "g" && !views ? event.timeStamp : -Infinity;
    if (views) {
      event.preventDefault();
      view.parts.router.go(view.parts.router.href(views));
    } else if (event.altKey ? onAlt(view, event) : onKey(view, event)) {
      event.preventDefault();
    }
  }, { signal });
}

/**
 * @param {TaskView} view
 * @param {KeyboardEvent} event
 */
function onControl(view, event) {
  if (event.key === "z" && !event.shiftKey) {
    event.preventDefault();
    view.history.undoLatest();
  } else if (event.key === "a" && view.list.contains(document.activeElement)) {
    event.preventDefault();
    view.selection.selectAll(view.list.tasks.map((row) => row.key));
  }
}

/**
 * @param {TaskView} view
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key has done something
 */
function onAlt(view, event) {
  const row = view.list.active;
  const isRtl = getComputedStyle(view.list).direction === "rtl";
  const direction = /** @type {Record<string, "up" | "down" | "in" | "out">} */ ({
    ArrowUp: "up",
    ArrowDown: "down",
    ArrowRight: isRtl ? "out" : "in",
    ArrowLeft: isRtl ? "in" : "out",
  })[event.key];
  if (!direction || !row || !view.canReorder || !view.list.contains(document.activeElement)) {
    return false;
  }
  void view.commands.step(row, direction);
  return true;
}

/**
 * @param {TaskView} view
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key has done something
 */
function onKey(view, event) {
  switch (event.key) {
    case "n":
    case "q":
      view.startAdding();
      return true;
    case "?":
      void view.showShortcuts();
      return true;
    case "/":
      view.parts.ui.focusSearch();
      return true;
    case "ArrowDown":
    case "j":
    case "J":
      return move(view, 1, event.shiftKey);
    case "ArrowUp":
    case "k":
    case "K":
      return move(view, -1, event.shiftKey);
    case "Home":
    case "End":
      return view.list.contains(document.activeElement) && move(view, event.key === "Home" ? -Infinity : Infinity, event.shiftKey);
    case "Escape":
      return leave(view);
    default:
      return onTaskKey(view, event);
  }
}

/**
 * @param {TaskView} view
 * @param {KeyboardEvent} event
 */
function onTaskKey(view, event) {
  const row = view.list.active;
  if (!row || !view.list.contains(document.activeElement)) {
    return false;
  }
  const isControl = event.target instanceof Element && event.target.closest("button, a") !== null;
  const tasks = view.commands.targets;
  switch (event.key) {
    case "x":
      view.selection.toggle(row.key);
      return true;
    case "Delete":
    case "Backspace":
      if (view.isTrash) {
        void view.commands.erase(tasks);
      } else {
        view.commands.remove(tasks);
      }
      return true;
    default:
      return !view.isTrash && onEditKey(view, event.key, isControl);
  }
}

/**
 * @param {TaskView} view
 * @param {string} key
 * @param {boolean} isControl whether the focus is on a button or link, which have these keys themselves
 */
function onEditKey(view, key, isControl) {
  const row = view.list.active;
  const tasks = view.commands.targets;
  if (!row) {
    return false;
  }
  const part = /** @type {Record<string, string>} */ ({ e: "title", d: "due", p: "priority", t: "tags" })[key];
  if (part) {
    view.commands.edit(part);
    return true;
  }
  const isFold = key === "ArrowRight" || key === "ArrowLeft";
  if (isFold && row.isExpanded !== null) {
    view.fold(row.key, (key === "ArrowRight") === (getComputedStyle(view.list).direction !== "rtl"));
    return true;
  }
  if (key === "c" || (key === " " && !isControl)) {
    view.commands.complete(tasks, tasks.some((task) => !task.completed));
    return true;
  }
  if (key === "Enter" && !isControl) {
    void view.opened.open(row.task);
    return true;
  }
  return false;
}

/**
 * @param {TaskView} view
 * @param {number} distance
 * @param {boolean} extends_ the selection
 */
function move(view, distance, extends_) {
  const from = view.list.active?.key;
  const row = view.list.step(distance);
  if (row && from && extends_) {
    view.selection.extend(view.list.tasks.map((each) => each.key), row.key, from);
  }
  return row !== null;
}

/** @param {TaskView} view */
function leave(view) {
  if (view.opened.card) {
    view.opened.close({ focuses: true });
    return true;
  }
  const wasOn = view.selection.isOn;
  view.selection.clear();
  return wasOn;
}

/** @param {EventTarget | null} target */
function isElsewhere(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable], dialog, .popover, .toasts") !== null;
}
