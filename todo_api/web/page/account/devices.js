/**
 * The sessions of the user: one for each device on which they are signed in.
 */

import { OfflineError } from "../client/todo.js";
import { announce } from "../ui/announce.js";
import { clear, h, icon } from "../ui/dom.js";
import { toast } from "../ui/toast.js";
import { message, notice } from "./form.js";

const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60]];

/**
 * Create the list.
 *
 * @param {import("../client/todo.js").TodoClient} client
 * @returns {HTMLElement}
 */
export function devices(client) {
  const list = h("ul", { class: "devices" });
  const foot = h("div", {});
  const element = h("div", { class: "stack" }, list, foot);

  const load = async () => {
    try {
      show(await client.sessions());
    } catch (error) {
      clear(list);
      clear(foot).append(notice(message(error), error instanceof OfflineError ? "warning" : "error"), h("button", { type: "button", class: "button", text: "Try again", on: { click: () => void load() } }));
    }
  };
  /** @param {import("../client/client.js").DeviceSession[]} sessions */
  const show = (sessions) => {
    const sorted = [...sessions].sort((a, b) => Number(b.current) - Number(a.current));
    clear(list).append(...sorted.map((session) => item(session, () => revoke(() => client.revokeSession(session.id), `${session.device} is signed out.`))));
    clear(foot);
    if (sessions.length < 2) return;
    foot.append(
      h("button", {
        type: "button",
        class: "button",
        text: "Sign out all other devices",
        on: { click: () => void revoke(() => client.revokeOtherSessions(), "All other devices are signed out.") },
      }),
    );
  };
  /** @param {() => Promise<void>} request @param {string} done */
  const revoke = async (request, done) => {
    try {
      await request();
    } catch (error) {
      toast(message(error));
      return;
    }
    toast(done);
    await load();
    element.tabIndex = -1;
    element.focus();
  };

  list.append(h("li", { class: "skeleton", "aria-hidden": true }, h("span"), h("span")));
  announce("Loading your devices.");
  void load();
  return element;
}

/** @param {import("../client/client.js").DeviceSession} session @param {() => void} revoke */
function item(session, revoke) {
  const isPhone = /Android|iPhone|iOS|iPad/.test(session.device);
  return h(
    "li",
    { class: "device" },
    icon(isPhone ? "phone" : "device"),
    h(
      "div",
      { class: "grow" },
      h("div", { class: "device-name" }, h("span", { text: session.device, dir: "auto" }), session.current && h("span", { class: "badge", text: "This device" })),
      h("div", { class: "muted small" }, `${session.address} · ${session.current ? "in use now" : `used ${ago(session.last_used_at)}`}`),
    ),
    !session.current && h("button", { type: "button", class: "button", text: "Sign out", "aria-label": `Sign out ${session.device}`, on: { click: revoke } }),
  );
}

/** @param {string} time */
function ago(time) {
  const seconds = (new Date(time).getTime() - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, size]) => -seconds >= size) ?? ["minute", 60];
  return RELATIVE.format(Math.ceil(seconds / length), unit);
}
