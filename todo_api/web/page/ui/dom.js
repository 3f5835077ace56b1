/**
 * Creating elements. Text is set as text, never as HTML.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 *   `null`, `undefined` and `false` are left out.
 */

/**
 * @typedef {{ [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void }} Handlers
 */

/**
 * Create an element.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {{ class?: string, text?: string, dataset?: Record<string, string>, on?: Handlers, [name: string]: unknown }} [properties]
 *   Names with a hyphen, `role`, `for` and `list` are attributes; all others are properties of the
 *   element, or attributes if it has no such property. `null` and `undefined` are left out.
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") element.className = String(value);
    else if (name === "text") element.textContent = String(value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "on") listen(element, /** @type {Handlers} */ (value));
    else if (isAttribute(element, name)) element.setAttribute(name, String(value));
    else Reflect.set(element, name, value);
  }
  append(element, children);
  return element;
}

/**
 * Create an icon of the sprite, which assistive technology ignores.
 *
 * @param {string} name
 * @param {string} [className] further classes, such as `icon-small`
 * @returns {SVGSVGElement}
 */
export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", className ? `icon ${className}` : "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `./icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/**
 * Create a button that shows only an icon; the label is its name and its tooltip.
 *
 * @param {string} name of the icon
 * @param {string} label
 * @param {(event: MouseEvent) => void} run
 * @param {Record<string, unknown>} [properties]
 */
export function iconButton(name, label, run, properties = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", title: label, "aria-label": label, on: { click: run }, ...properties },
    icon(name),
  );
}

/**
 * Remove all children.
 *
 * @template {Element} T
 * @param {T} node
 * @returns {T}
 */
export function clear(node) {
  node.replaceChildren();
  return node;
}

/** @type {Map<string, Promise<void>>} */
const styles = new Map();

/**
 * Load a stylesheet once.
 *
 * @param {string} href relative to the address of the page
 * @returns {Promise<void>} fulfilled when its rules apply
 */
export function loadStyle(href) {
  let loaded = styles.get(href);
  if (!loaded) {
    loaded = new Promise((resolve, reject) => {
      const link = h("link", { rel: "stylesheet", href, on: { load: () => resolve(), error: () => reject(new Error(`${href} cannot be loaded.`)) } });
      document.head.append(link);
    });
    styles.set(href, loaded);
  }
  return loaded;
}

/**
 * Fetch modules at the same time which would otherwise be found one after the other.
 *
 * @param {string[]} hrefs relative to the address of the page
 */
export function preloadModules(hrefs) {
  document.head.append(...hrefs.map((href) => h("link", { rel: "modulepreload", href })));
}

let last = 0;

/**
 * Return an id that no other element has.
 *
 * @param {string} prefix
 */
export function uniqueId(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}

/** @param {Element} element @param {Handlers} handlers */
function listen(element, handlers) {
  for (const [event, handler] of Object.entries(handlers)) {
    element.addEventListener(event, /** @type {EventListener} */ (handler));
  }
}

/** @param {Element} element @param {string} name */
function isAttribute(element, name) {
  return name.includes("-") || name === "role" || name === "for" || name === "list" || !(name in element);
}

/** @param {Element} element @param {(Child | Child[])[]} children */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}
