/**
 * @param {number} time microseconds since 1970
 * @returns {string} where a task comes that is created at this time: before all older ones
 */
export function positionOfNewTask(time: number): string;
/**
 * @param {string} after
 * @param {string | null} before
 * @returns {string} a text between these two in the order of ASCII, if there is one
 */
export function positionBetween(after: string, before: string | null): string;
/**
 * The order by hand, as the service sorts it.
 *
 * @param {{ position: string, id: number }} one
 * @param {{ position: string, id: number }} other
 * @returns {number}
 */
export function byPosition(one: {
    position: string;
    id: number;
}, other: {
    position: string;
    id: number;
}): number;
