/** What holds the files of the page together: colours, icons, and the modules that are fetched early. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const WEB = fileURLToPath(new URL("../../todo_api/web/", import.meta.url));
const PAGE = join(WEB, "page");
const SURFACES = ["surface", "surface-sunken", "surface-raised", "surface-hover", "surface-active"];
const TEXTS = ["text", "text-muted", "accent", "accent-hover", "danger", "danger-hover", "warning", "success"];
const RINGS = ["line-strong", "priority-urgent", "priority-high", "priority-medium", "priority-low"];
const PAIRS = [
  ["accent-text", "accent"],
  ["accent-text", "accent-hover"],
  ["danger-text", "danger"],
  ["danger-text", "danger-hover"],
  ["accent", "accent-soft"],
  ["text", "accent-soft"],
  ["text", "danger-soft"],
  ["text", "warning-soft"],
];

const read = (path) => readFileSync(join(PAGE, path), "utf8");
const scripts = readdirSync(PAGE, { recursive: true }).filter((path) => path.endsWith(".js"));

/** Return the colours of both themes: the first of a name, as later ones are for special cases. */
function tokens() {
  const found = new Map();
  for (const [, name, light, dark] of read("styles/base.css").matchAll(/--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)/g)) {
    if (!found.has(name)) found.set(name, { light, dark });
  }
  return found;
}

/** Return the relative luminance of a colour (WCAG 2.2). */
function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function assertContrast(pairs, least) {
  const colours = tokens();
  for (const [front, back] of pairs) {
    for (const theme of ["light", "dark"]) {
      const found = contrast(colours.get(front)[theme], colours.get(back)[theme]);
      assert.ok(found >= least, `${front} on ${back}, ${theme}: ${found.toFixed(2)}`);
    }
  }
}

/** Return the modules that a module imports statically, itself included, relative to `web`. */
function graph(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  const file = path.startsWith("client/") ? path : `page/${path}`;
  const text = readFileSync(join(WEB, file), "utf8");
  for (const [, target] of text.matchAll(/^(?:import|export)\s[^;"]*?"(\.[^"]+)"/gm)) graph(normalize(join(dirname(path), target)), found);
  return found;
}

test("text is readable on every surface, in both themes", () => {
  assertContrast(SURFACES.flatMap((surface) => TEXTS.map((text) => [text, surface])), 4.5);
  assertContrast(PAIRS, 4.5);
});

test("borders and rings are visible on every surface, in both themes", () => {
  assertContrast(SURFACES.flatMap((surface) => RINGS.map((ring) => [ring, surface])), 3);
});

test("the frame of the window has the colour of the surface", () => {
  const { light, dark } = tokens().get("surface");
  assert.ok(read("boot.js").includes(`{ light: "${light}", dark: "${dark}" }`));
  assert.match(read("index.html"), new RegExp(`content="${light}" media="\\(prefers-color-scheme: light\\)"`));
  assert.match(read("index.html"), new RegExp(`content="${dark}" media="\\(prefers-color-scheme: dark\\)"`));
});

test("every icon that is named is in the sprite, and every one in it is used", () => {
  const drawn = new Set([...read("icons.svg").matchAll(/<symbol id="([^"]+)"/g)].map(([, name]) => name));
  const text = scripts.map(read).join("\n");
  const named = new Set([...text.matchAll(/\b(?:icon\(|iconButton\(|icon: )"([^"]+)"/g)].map(([, name]) => name));
  assert.ok(named.size > 20);
  assert.deepEqual([...named].filter((name) => !drawn.has(name)), []);
  assert.deepEqual([...drawn].filter((name) => !text.includes(`"${name}"`)), []);
});

test("exactly the modules of the shell are fetched before they are imported", () => {
  const [, ...needed] = graph("app.js");
  const preloaded = [...read("index.html").matchAll(/rel="modulepreload" href="\.\/([^"]+)"/g)].map(([, path]) => path);
  assert.deepEqual(preloaded.sort(), needed.sort());
});

test("exactly the modules of the list are fetched early for a user who is signed in", () => {
  const [, names] = read("boot.js").match(/const list = \[([^\]]+)\]/);
  const fetched = [...names.matchAll(/"([^"]+)"/g)].map(([, name]) => `tasks/${name}.js`);
  const shell = graph("app.js");
  const needed = [...graph("tasks/view.js")].filter((path) => !shell.has(path));
  assert.deepEqual(fetched.sort(), needed.sort());
});

test("the manifest names icons that are there", () => {
  const { icons, shortcuts } = JSON.parse(read("manifest.webmanifest"));
  const all = [...icons, ...shortcuts.flatMap((shortcut) => shortcut.icons)];
  for (const { src, sizes } of all) {
    const content = readFileSync(join(PAGE, src));
    if (src.endsWith(".png")) assert.equal(`${content.readUInt32BE(16)}x${content.readUInt32BE(20)}`, sizes);
  }
  assert.ok(icons.some(({ purpose }) => purpose === "maskable"));
});
