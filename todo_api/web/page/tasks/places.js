/**
 * Where a task goes in the order by hand: when it is dropped, and when keys move it.
 */

/** @typedef {import("./store.js").TaskRow} TaskRow */
/** @typedef {import("./actions.js").Place} Place */
/** @typedef {{ index: number, level: 1 | 2 }} Drop between two rows of the list without the moved ones */

/**
 * Return the list without a task and the subtasks below it.
 * @param {readonly TaskRow[]} rows
 * @param {string} key
 */
export function withoutBlock(rows, key) {
  const at = rows.findIndex((row) => row.key === key);
  const size = blockSize(rows, at);
  return { others: [...rows.slice(0, at), ...rows.slice(at + size)], at, size };
}

/**
 * Return the drop that is possible nearest to the one that is wanted. A family is not torn apart, and
 * there is one level of subtasks.
 * @param {readonly TaskRow[]} others
 * @param {Drop} wanted
 * @param {boolean} canNest whether the moved task may be a subtask: it has none
 * @returns {Drop}
 */
export function nearestDrop(others, { index, level }, canNest) {
  const [previous, next] = [others[index - 1], others[index]];
  if (next?.level === 2) {
    return canNest ? { index, level: 2 } : { index: familyEnd(others, index), level: 1 };
  }
  const hasParent = previous !== undefined && (previous.level === 2 || previous.task.parent_id === null);
  return { index, level: level === 2 && canNest && hasParent ? 2 : 1 };
}

/**
 * Return where a dropped task goes, or null if it stays where it is.
 * @param {readonly TaskRow[]} rows
 * @param {string} key
 * @param {Drop} drop
 * @returns {Place | null}
 */
export function dropPlace(rows, key, { index, level }) {
  const { others, at } = withoutBlock(rows, key);
  const moved = rows[at];
  if (!moved || (index === at && level === moved.level)) {
    return null;
  }
  const [previous, next] = [others[index - 1], others[index]];
  if (level === 2) {
    const parent = others.slice(0, index).findLast((row) => row.level === 1);
    const sibling = next?.level === 2 ? { before: next.task.id } : previous?.level === 2 ? { after: previous.task.id } : {};
    return parent ? { ...sibling, ...parentOf(moved, parent.task.id) } : null;
  }
  const before = others.slice(0, index).findLast((row) => row.level === 1);
  const neighbour = next ? { before: next.task.id } : before ? { after: before.task.id } : {};
  return { ...neighbour, ...(moved.level === 2 ? { parent_id: null } : {}) };
}

/**
 * Return where a task goes when a key moves it, or null if it cannot go there.
 * @param {readonly TaskRow[]} rows
 * @param {string} key
 * @param {"up" | "down" | "in" | "out"} direction
 * @returns {Place | null}
 */
export function stepPlace(rows, key, direction) {
  const at = rows.findIndex((row) => row.key === key);
  const moved = rows[at];
  if (!moved) {
    return null;
  }
  const parent = rows.slice(0, at).findLast((row) => row.level === 1);
  if (direction === "out") {
    const outside = parent ? { after: parent.task.id } : {};
    return moved.level === 2 ? { parent_id: null, ...outside } : null;
  }
  if (direction === "in") {
    const canNest = moved.level === 1 && moved.progress === null && parent?.task.parent_id === null;
    const last = rows[at - 1];
    return canNest ? { parent_id: parent.task.id, ...(last?.level === 2 ? { after: last.task.id } : {}) } : null;
  }
  if (direction === "up") {
    const previous = moved.level === 1 ? parent : rows[at - 1];
    return previous?.level === moved.level ? { before: previous.task.id } : null;
  }
  const next = rows[at + blockSize(rows, at)];
  return next?.level === moved.level ? { after: next.task.id } : null;
}

/**
 * @param {TaskRow} moved
 * @param {number} parent
 */
function parentOf(moved, parent) {
  return moved.task.parent_id === parent ? {} : { parent_id: parent };
}

/**
 * @param {readonly TaskRow[]} rows
 * @param {number} at
 */
function blockSize(rows, at) {
  return rows[at]?.level === 1 ? familyEnd(rows, at + 1) - at : 1;
}

/**
 * @param {readonly TaskRow[]} rows
 * @param {number} index
 */
function familyEnd(rows, index) {
  const end = rows.findIndex((row, place) => place >= index && row.level === 1);
  return end < 0 ? rows.length : end;
}
