/**
 * The rules for new passwords. The service also refuses the most common ones.
 */

const SHORTEST = 8;
const RECOMMENDED = 15;
const LONGEST = 128;

export const PASSWORD_RULES = `At least ${SHORTEST} characters. A short sentence is easy to remember and hard to guess.`;

/**
 * Return what is wrong with a new password.
 *
 * @param {string} password
 * @returns {string | null}
 */
export function checkPassword(password) {
  const length = lengthOf(password);
  if (length < SHORTEST) return `Password must have at least ${SHORTEST} characters.`;
  if (length > LONGEST) return `Password must have at most ${LONGEST} characters.`;
  return null;
}

/**
 * Return a hint about a password that is being typed.
 *
 * @param {string} password
 * @returns {string}
 */
export function assessPassword(password) {
  const missing = SHORTEST - lengthOf(password);
  if (missing > 0) return missing === 1 ? "1 more character is needed." : `${missing} more characters are needed.`;
  if (lengthOf(password) > LONGEST) return `At most ${LONGEST} characters are possible.`;
  if (lengthOf(password) < RECOMMENDED) return `Long enough. ${RECOMMENDED} characters or more are better.`;
  return "This is long enough to be hard to guess.";
}

/** @param {string} password the service counts characters in this form */
function lengthOf(password) {
  return [...password.normalize("NFC")].length;
}
