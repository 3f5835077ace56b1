/**
 * What is loaded after the page is shown.
 *
 * @template T
 * @typedef {object} Lazy
 * @property {() => Promise<T>} load once; again only if it failed
 * @property {() => void} loadAhead does the same before it is needed: a failure, such as a lost
 *   connection, then counts for nothing
 */

/**
 * @template T
 * @param {() => Promise<T>} fetchIt
 * @returns {Lazy<T>}
 */
export function lazy(fetchIt) {
  /** @type {Promise<T> | null} */
  let loading = null;
  const load = () => {
    loading ??= fetchIt().catch((error) => {
      loading = null;
      throw error;
    });
    return loading;
  };
  return { load, loadAhead: () => void load().catch(() => undefined) };
}
