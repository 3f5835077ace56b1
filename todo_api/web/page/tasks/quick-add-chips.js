/**
 * What quick add has understood, as chips. A chip knows the texts of which it was made.
 */

import { formatDue } from "./dates.js";
import { parseQuickAdd } from "./quick-add.js";
import { describeRule } from "./recurrence-text.js";

export { parseQuickAdd };

/** @typedef {{ label: string, icon: string, texts: string[] }} Chip */

const PRIORITY_NAMES = /** @type {Record<string, string>} */ ({
  urgent: "Urgent",
  high: "High priority",
  medium: "Medium priority",
  low: "Low priority",
  none: "No priority",
});

/**
 * Return what was understood, to be shown.
 * @param {ReturnType<typeof parseQuickAdd>} parsed
 * @param {string} zone
 * @returns {Chip[]}
 */
export function chipsOf({ fields, spans }, zone) {
  const textsOf = (/** @type {string[]} */ ...kinds) => spans.filter((span) => kinds.includes(span.kind)).map((span) => span.text);
  const tagTexts = textsOf("tag");
  /** @type {(Chip | false)[]} */
  const chips = [
    fields.due_date !== undefined && {
      label: formatDue(fields.due_date, zone, Date.now()),
      icon: "calendar",
      texts: textsOf("date", "time").length > 0 ? textsOf("date", "time") : textsOf("repeat"),
    },
    fields.recurrence_rule !== undefined && {
      label: describeRule(fields.recurrence_rule, fields.repeat_from),
      icon: "repeat",
      texts: textsOf("repeat"),
    },
    fields.priority !== undefined && {
      label: PRIORITY_NAMES[fields.priority] ?? "",
      icon: "flag",
      texts: textsOf("priority"),
    },
    ...(fields.tags ?? []).map((tag) => ({
      label: tag,
      icon: "tag",
      texts: tagTexts.filter((text) => text.toLowerCase().replace(/[.,;:!?]+$/, "") === `#${tag.toLowerCase()}`),
    })),
  ];
  return chips.filter((chip) => chip !== false);
}
