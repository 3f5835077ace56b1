/**
 * What is typed to add a task: `Water plants !high #home tomorrow 9am every 3 days`.
 *
 * The words that are understood become fields, and the others are the title. Text in double quotes
 * and words after a backslash are never understood. Words that could as well belong to the title,
 * such as “Monday” or “noon”, are understood at its beginning or end and after “on” or “at”.
 */

import { addDays, momentOf, today, writeDue, writeMoment } from "./dates.js";
import { readDate, readTime } from "./quick-add-dates.js";
import { readRepeat } from "./quick-add-repeat.js";

/** @typedef {{ text: string, start: number, end: number, word: string, isText: boolean }} Token */

/**
 * @typedef {object} Span
 * @property {"priority" | "tag" | "date" | "time" | "repeat"} kind
 * @property {number} start
 * @property {number} end
 * @property {string} text what was typed
 */

/**
 * @typedef {object} Fields
 * @property {string} [priority]
 * @property {string[]} [tags]
 * @property {string} [due_date]
 * @property {string} [recurrence_rule]
 * @property {"due" | "completion"} [repeat_from]
 */

/**
 * What some tokens from one on mean. `isWeak` if they could as well belong to the title.
 * @typedef {object} Match
 * @property {Span["kind"]} kind
 * @property {number} length in tokens
 * @property {boolean} [isWeak]
 * @property {boolean} [isLate] only at the end: “Weekly report” is a title
 * @property {string} [priority]
 * @property {string} [tag]
 * @property {string} [day]
 * @property {number} [moment]
 * @property {string} [time]
 * @property {string} [rule]
 * @property {boolean} [fromCompletion]
 * @property {(time: string) => string} [firstDay] the first occurrence of the rule
 */

/** @typedef {Match & { at: number }} Placed */
/** @typedef {{ today: string, now: number, zone: string }} Clock */

const PRIORITIES = new Map(
  Object.entries({
    "!urgent": "urgent",
    "!high": "high",
    "!medium": "medium",
    "!low": "low",
    "!none": "none",
    "!1": "urgent",
    "!2": "high",
    "!3": "medium",
    "!4": "low",
  }),
);

/**
 * Return the title and the fields of a task, and which part of the text became which field.
 * @param {string} text
 * @param {{ zone: string, now: number, ignored?: readonly string[] }} context `ignored` are texts of
 *   spans that belong to the title after all
 * @returns {{ title: string, fields: Fields, spans: Span[] }}
 */
export function parseQuickAdd(text, { zone, now, ignored = [] }) {
  const tokens = tokenize(text);
  const matches = findMatches(tokens, { zone, now, today: today(zone, now) }, new Set(ignored.map(foldSpaces)));
  const spans = matches.map((match) => spanOf(match, tokens, text));
  return { title: titleOf(tokens, matches), fields: fieldsOf(matches, { zone, now, today: today(zone, now) }), spans };
}

/**
 * @param {string} text
 * @returns {Token[]}
 */
function tokenize(text) {
  const tokens = [];
  // A quoted text is one token only if it ends where a word ends.
  for (const found of text.matchAll(/(?:"[^"]*"|“[^”]*”)(?=\s|$|[.,;:!?])[.,;:!?]*|\S+/g)) {
    const part = found[0];
    const isText = /^["“\\]/.test(part);
    tokens.push({
      text: part.startsWith("\\") ? part.slice(1) : part,
      start: found.index,
      end: found.index + part.length,
      word: part.toLowerCase().replace(/[,;.]$/, ""),
      isText,
    });
  }
  return tokens;
}

/**
 * @param {Token[]} tokens
 * @param {Clock} clock
 * @param {Set<string>} ignored
 * @returns {Placed[]} in the order of the text
 */
function findMatches(tokens, clock, ignored) {
  /** @type {Placed[]} */
  const matches = [];
  /** @type {Placed[]} */
  const weak = [];
  const accept = (/** @type {Placed} */ match) => {
    if (fits(match, matches)) {
      matches.push(match);
    }
  };
  for (let at = 0; at < tokens.length; at += 1) {
    const match = matchAt(tokens, at, clock, ignored);
    if (match) {
      if (match.isWeak) {
        weak.push({ ...match, at });
      } else {
        accept({ ...match, at });
      }
      at += match.length - 1;
    }
  }
  // A weak match beside the edge makes its neighbour one at the edge, too.
  for (let before = -1; before !== matches.length; ) {
    before = matches.length;
    for (const match of weak.filter((each) => !matches.includes(each) && isAtEdge(each, matches, tokens.length))) {
      accept(match);
    }
  }
  return matches.sort((a, b) => a.at - b.at);
}

/**
 * @param {Token[]} tokens
 * @param {number} at
 * @param {Clock} clock
 * @param {Set<string>} ignored
 * @returns {Match | null}
 */
function matchAt(tokens, at, clock, ignored) {
  const limit = tokens.findIndex((token, index) => index >= at && token.isText);
  const words = tokens.slice(at, limit < 0 ? undefined : limit).map((token) => token.word);
  if (words.length === 0) {
    return null;
  }
  const match =
    readPriority(words) ??
    readTag(tokens[at]?.text ?? "") ??
    readRepeat(words, clock) ??
    readDate(words, clock) ??
    readTime(words);
  if (!match) {
    return null;
  }
  const typed = tokens.slice(at, at + match.length).map((token) => token.text);
  return ignored.has(foldSpaces(typed.join(" "))) ? null : match;
}

/**
 * @param {string[]} words
 * @returns {Match | null}
 */
function readPriority(words) {
  const priority = PRIORITIES.get(words[0] ?? "");
  return priority ? { kind: "priority", length: 1, priority } : null;
}

/**
 * @param {string} text
 * @returns {Match | null}
 */
function readTag(text) {
  const tag = /^#([^#\s]*[^#\s.,;:!?])[.,;:!?]*$/.exec(text)?.[1];
  // “#12” is the number of something.
  return tag && !/^\d+$/.test(tag) && [...tag].length <= 50 ? { kind: "tag", length: 1, tag } : null;
}

/**
 * Return whether there is room for the field: a task has one priority, date, time and rule.
 * @param {Placed} match
 * @param {Placed[]} others
 */
function fits(match, others) {
  if (match.kind === "tag") {
    return others.filter((other) => other.kind === "tag").length < 20;
  }
  return !others.some((other) => other.kind === match.kind || (match.time && other.time) || hasMoment(match, other));
}

/**
 * @param {Placed} match
 * @param {Placed} other
 */
function hasMoment(match, other) {
  return (match.moment !== undefined && other.time) || (other.moment !== undefined && match.time);
}

/**
 * @param {Placed} match
 * @param {Placed[]} others
 * @param {number} count of all tokens
 */
function isAtEdge(match, others, count) {
  const covered = new Set(others.flatMap((other) => Array.from({ length: other.length }, (_, index) => other.at + index)));
  const all = (/** @type {number} */ from, /** @type {number} */ to) =>
    Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index).every((index) => covered.has(index));
  const next = match.at + match.length;
  const isBesideDate = others.some(
    (other) => other.kind !== "tag" && other.kind !== "priority" && (other.at + other.length === match.at || other.at === next),
  );
  return isBesideDate || all(next, count) || (!match.isLate && all(0, match.at));
}

/**
 * @param {Placed} match
 * @param {Token[]} tokens
 * @param {string} text
 * @returns {Span}
 */
function spanOf(match, tokens, text) {
  const start = tokens[match.at]?.start ?? 0;
  const end = tokens[match.at + match.length - 1]?.end ?? start;
  return { kind: match.kind, start, end, text: text.slice(start, end) };
}

/**
 * @param {Token[]} tokens
 * @param {Placed[]} matches
 */
function titleOf(tokens, matches) {
  const rest = tokens.filter((_, index) => !matches.some((each) => index >= each.at && index < each.at + each.length));
  return rest.map((token) => token.text).join(" ");
}

/**
 * @param {Placed[]} matches
 * @param {Clock} clock
 * @returns {Fields}
 */
function fieldsOf(matches, clock) {
  /** @type {Fields} */
  const fields = {};
  const priority = matches.find((match) => match.priority)?.priority;
  const tags = matches.flatMap((match) => (match.tag ? [match.tag] : []));
  const repeat = matches.find((match) => match.rule);
  const due = dueOf(matches, clock);
  if (priority) {
    fields.priority = priority;
  }
  if (tags.length > 0) {
    fields.tags = tags.filter((tag, index) => tags.findIndex((other) => other.toLowerCase() === tag.toLowerCase()) === index);
  }
  if (due) {
    fields.due_date = due;
  }
  if (repeat?.rule) {
    fields.recurrence_rule = repeat.rule;
    if (repeat.fromCompletion) {
      fields.repeat_from = "completion";
    }
  }
  return fields;
}

/**
 * @param {Placed[]} matches
 * @param {Clock} clock
 */
function dueOf(matches, clock) {
  const moment = matches.find((match) => match.moment !== undefined)?.moment;
  if (moment !== undefined) {
    return writeMoment(moment);
  }
  const time = matches.find((match) => match.time)?.time ?? "";
  const day = matches.find((match) => match.day)?.day ?? matches.find((match) => match.firstDay)?.firstDay?.(time);
  if (day) {
    return writeDue(day, time, clock.zone);
  }
  if (time === "") {
    return null;
  }
  const hasPassed = momentOf(clock.today, time, clock.zone) <= clock.now;
  return writeDue(hasPassed ? addDays(clock.today, 1) : clock.today, time, clock.zone);
}

/** @param {string} text */
function foldSpaces(text) {
  return text.toLowerCase().replace(/\s+/g, " ").trim();
}
