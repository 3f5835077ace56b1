/**
 * Text as the API compares it.
 */

/**
 * Return the form of a text in which titles and descriptions are searched and sorted.
 *
 * It is close to Unicode's compatibility caseless matching: upper and lower case are equal, “ß” is
 * “ss”, and “ﬁ” is “fi”. Accents count.
 * @param {string} text
 */
export function fold(text) {
  const trimmed = text.trim();
  if (/^[\x00-\x7f]*$/.test(trimmed)) {
    return trimmed.toLowerCase();
  }
  return caseless(trimmed.normalize("NFKC")).normalize("NFKC");
}

/**
 * Return the form of a tag in which it is compared: only its case does not matter.
 * @param {string} tag
 */
export function foldTag(tag) {
  return caseless(tag).normalize("NFC");
}

/**
 * Compare two texts code point by code point.
 * @param {string} a
 * @param {string} b
 */
export function compareText(a, b) {
  if (a === b) {
    return 0;
  }
  return isAstral.test(a) || isAstral.test(b) ? compareCodePoints(a, b) : a < b ? -1 : 1;
}

const isAstral = /[\ud800-\udfff]/;

/**
 * @param {string} a
 * @param {string} b
 */
function compareCodePoints(a, b) {
  const [first, second] = [[...a], [...b]];
  const index = first.findIndex((character, place) => character !== second[place]);
  const [x, y] = [first[index]?.codePointAt(0) ?? -1, second[index]?.codePointAt(0) ?? -1];
  return index < 0 ? -1 : x - y;
}

/** @param {string} text */
function caseless(text) {
  return text.toUpperCase().toLowerCase().replaceAll("ς", "σ");
}
