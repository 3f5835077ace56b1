/**
 * The list of keyboard shortcuts.
 */

import { h } from "../ui/dom.js";
import { openDialog } from "../ui/dialog.js";

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
const CONTROL = isMac ? "⌘" : "Ctrl";
const ALT = isMac ? "⌥" : "Alt";

/** Keys with a plus are pressed together, those with a space one after the other; several texts are alternatives. */
const GROUPS = [
  {
    title: "Lists",
    shortcuts: [
      { keys: ["↓", "j"], text: "Next task" },
      { keys: ["↑", "k"], text: "Previous task" },
      { keys: ["Enter"], text: "Open the task" },
      { keys: ["Space", "c"], text: "Complete or reopen" },
      { keys: ["x"], text: "Select" },
      { keys: ["Shift+↓", "Shift+↑"], text: "Extend the selection" },
      { keys: ["Delete", "Backspace"], text: "Move to the trash" },
      { keys: [`${CONTROL}+Z`], text: "Undo" },
    ],
  },
  {
    title: "Edit",
    shortcuts: [
      { keys: ["n", "q"], text: "New task" },
      { keys: ["e"], text: "Edit the title" },
      { keys: ["d"], text: "Due date" },
      { keys: ["p"], text: "Priority" },
      { keys: ["t"], text: "Tags" },
      { keys: [`${ALT}+↑`, `${ALT}+↓`], text: "Move up or down" },
      { keys: [`${ALT}+→`, `${ALT}+←`], text: "Make it a subtask, or take it out" },
      { keys: ["Esc"], text: "Close" },
    ],
  },
  {
    title: "Go to",
    shortcuts: [
      { keys: ["/"], text: "Search" },
      { keys: ["g a"], text: "All tasks" },
      { keys: ["g t"], text: "Today" },
      { keys: ["g u"], text: "Upcoming" },
      { keys: ["g c"], text: "Completed" },
      { keys: ["g d"], text: "Trash" },
      { keys: ["F6"], text: "The last message, such as “Undo”" },
      { keys: ["?"], text: "This list" },
    ],
  },
];

/** Show the list in a dialog. */
export function openShortcuts() {
  const groups = GROUPS.map(({ title, shortcuts }) =>
    h(
      "section",
      {},
      h("h3", { text: title }),
      h("dl", { class: "shortcuts" }, shortcuts.map(({ keys, text }) => h("div", {}, h("dt", {}, keys.map(combination)), h("dd", { text })))),
    ),
  );
  return openDialog({ title: "Keyboard shortcuts", wide: true, body: h("div", { class: "shortcut-groups" }, groups) });
}

/** @param {string} keys */
function combination(keys) {
  const isSequence = keys.includes(" ");
  const parts = keys.split(isSequence ? " " : "+").map((key) => h("kbd", { text: key }));
  return h("span", {}, isSequence ? [parts[0], h("span", { class: "muted small", text: "then" }), parts[1]] : parts);
}
