/** Provisional positions in the order by hand, until the service answers with its own. */

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const MIDDLE = "V";
const LAST_TIME = 16n ** 15n - 1n;

/**
 * @param {number} time microseconds since 1970
 * @returns {string} where a task comes that is created at this time: before all older ones
 */
export function positionOfNewTask(time) {
  return `L${(LAST_TIME - BigInt(time)).toString(16).padStart(15, "0")}`;
}

/**
 * @param {string} after
 * @param {string | null} before
 * @returns {string} a text between these two in the order of ASCII, if there is one
 */
export function positionBetween(after, before) {
  if (!before?.startsWith(after)) return after + MIDDLE;
  const rest = before.slice(after.length);
  const place = rest.search(/[^0]/);
  if (place < 0) return after;
  const half = DIGITS[DIGITS.indexOf(rest[place]) >> 1];
  return after + rest.slice(0, place) + half + MIDDLE;
}

/**
 * The order by hand, as the service sorts it.
 *
 * @param {{ position: string, id: number }} one
 * @param {{ position: string, id: number }} other
 * @returns {number}
 */
export function byPosition(one, other) {
  if (one.position === other.position) return one.id - other.id;
  return one.position < other.position ? -1 : 1;
}
