/**
 * Runs before the first paint, so it is a classic script: sets the theme that the user has chosen,
 * and says so if a module cannot be loaded or fails.
 */

(() => {
  /** @type {string | null} */
  let theme = null;
  try {
    theme = localStorage.getItem("todo.theme");
  } catch {
    // Storage is blocked: the theme of the system stays.
  }
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
    const colour = theme === "dark" ? "#16181c" : "#ffffff";
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) meta.setAttribute("content", colour);
  }

  const showFailure = () => {
    const failure = document.getElementById("failure");
    if (failure) failure.hidden = false;
    else addEventListener("DOMContentLoaded", showFailure, { once: true });
  };

  addEventListener(
    "error",
    (event) => {
      const isScript = event instanceof ErrorEvent ? !event.message.startsWith("ResizeObserver loop") : event.target instanceof HTMLScriptElement;
      if (isScript) showFailure();
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
