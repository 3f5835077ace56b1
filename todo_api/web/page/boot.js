/**
 * Runs before the first paint, so it is a classic script: sets the theme that the user has chosen,
 * fetches the list of tasks early for a user who is signed in, and shows a message if a module
 * cannot be loaded or fails.
 */

(() => {
  /** @type {Record<string, string>} the surfaces of the themes, for the frame of the window */
  const colours = { light: "#ffffff", dark: "#16181c" };

  const applyTheme = () => {
    let theme = "system";
    try {
      theme = localStorage.getItem("todo.theme") ?? "system";
    } catch {
      // Storage is blocked: the theme of the system stays.
    }
    if (theme in colours) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) {
      const own = meta.getAttribute("media")?.includes("dark") ? "dark" : "light";
      meta.setAttribute("content", colours[theme] ?? colours[own] ?? "");
    }
  };
  applyTheme();
  addEventListener("storage", applyTheme);
  addEventListener("themechange", applyTheme);

  // The modules of the list, which would otherwise be found step by step, and only after the shell.
  const list = [
    "actions", "commands", "dates", "filter-bar", "filters", "history", "keyboard", "labels", "lazy", "open-task",
    "quick-add-field", "recurrence-text", "row", "row-state", "store", "sync-messages", "task-list", "text",
    "trash", "view", "virtual-list",
  ];
  const preloadList = () => {
    removeEventListener("signedin", preloadList);
    for (const name of list) {
      const link = document.createElement("link");
      link.rel = "modulepreload";
      link.href = `./tasks/${name}.js`;
      document.head.append(link);
    }
  };
  const isSignedIn = () => {
    try {
      return Object.keys(localStorage).some((key) => key.startsWith("todo:"));
    } catch {
      return false; // storage is blocked
    }
  };
  addEventListener("signedin", preloadList);
  if (isSignedIn() && !new URLSearchParams(location.search).has("page")) preloadList();

  const showFailure = () => {
    const failure = document.getElementById("failure");
    if (failure) failure.hidden = false;
    else addEventListener("DOMContentLoaded", showFailure, { once: true });
  };

  addEventListener(
    "error",
    (event) => {
      const isOfScript = event instanceof ErrorEvent && !event.message.startsWith("ResizeObserver loop");
      if (isOfScript || /** @type {Event} */ (event).target instanceof HTMLScriptElement) showFailure();
    },
    true,
  );
  addEventListener("unhandledrejection", (event) => {
    const name = event.reason instanceof Error || event.reason instanceof DOMException ? event.reason.name : "";
    if (name !== "AbortError" && name !== "OfflineError") showFailure();
  });
  addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.id === "failure-reload") location.reload();
  });
})();
