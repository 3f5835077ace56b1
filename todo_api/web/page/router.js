/**
 * Views are addresses: a query, and for an open task a fragment, of the address at which the page is
 * served. All of them are relative, so that the page also works below a path prefix.
 */

/** The address of the page without a query. It ends with a slash. */
const BASE = new URL("./", location.href);

/** Paths of the page, relative to `BASE`. */
const PATHS = ["", "reset-password"];

/**
 * @typedef {{ from: URL, to: URL, kind: "push" | "replace" | "pop" }} Navigation
 */

/**
 * The address that is shown. Sends "navigate" (a `CustomEvent<Navigation>`) when it has changed.
 */
export class Router extends EventTarget {
  #current = new URL(location.href);

  constructor() {
    super();
    addEventListener("popstate", () => this.#changed(new URL(location.href), "pop"));
    document.addEventListener("click", (event) => this.#followLink(event));
  }

  /**
   * Call a function after each navigation.
   *
   * @param {(navigation: Navigation) => void} listener
   * @returns {() => void} ends it
   */
  onNavigate(listener) {
    /** @param {Event} event */
    const handle = (event) => listener(/** @type {CustomEvent<Navigation>} */ (event).detail);
    this.addEventListener("navigate", handle);
    return () => this.removeEventListener("navigate", handle);
  }

  /** The address as it is now. */
  get current() {
    return this.#current;
  }

  /**
   * Go to an address of the page.
   *
   * @param {string | URL} href relative to the root of the page, such as `?view=today`, or absolute
   * @param {{ replace?: boolean }} [options] `replace`: without a new entry in the history
   */
  go(href, { replace = false } = {}) {
    const url = new URL(href, BASE);
    if (replace || url.href === this.#current.href) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    this.#changed(url, replace ? "replace" : "push");
  }

  /**
   * Return the `href` of a link to a view.
   *
   * @param {Record<string, string | null | undefined>} [params] `null`, `undefined` and "" are left out
   * @param {string} [hash] such as `task=1`
   */
  href(params = {}, hash = "") {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params)) if (value) query.set(name, value);
    const text = query.toString().replaceAll("%2C", ",");
    return `${BASE.pathname}${text && `?${text}`}${hash && `#${hash}`}`;
  }

  /**
   * Follow links to the page itself without loading it again.
   *
   * @param {MouseEvent} event
   */
  #followLink(event) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== BASE.origin || !PATHS.some((path) => url.pathname === BASE.pathname + path)) return;
    event.preventDefault();
    this.go(url);
  }

  /** @param {URL} to @param {Navigation["kind"]} kind */
  #changed(to, kind) {
    const from = this.#current;
    this.#current = to;
    this.dispatchEvent(new CustomEvent("navigate", { detail: { from, to, kind } }));
  }
}
