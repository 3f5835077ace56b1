/**
 * Installs the service worker, with which the page opens without the service, and offers new versions.
 */

import { toast } from "../ui/toast.js";

const SCRIPT = "./sw.js";

/** Install the service worker once the page has loaded. */
export function installServiceWorker() {
  if (!("serviceWorker" in navigator)) return;
  if (document.readyState === "complete") void install();
  else addEventListener("load", () => void install(), { once: true });
}

async function install() {
  const workers = navigator.serviceWorker;
  const isUpdate = workers.controller !== null;
  let isReloading = false;
  workers.addEventListener("controllerchange", () => {
    if (isReloading) location.reload();
    else if (isUpdate) offer(() => location.reload());
  });

  const isServed = await fetch(SCRIPT, { method: "HEAD" }).then(({ status }) => status !== 404, () => true);
  if (!isServed) return remove();
  const registration = await workers.register(scriptUrl(), { updateViaCache: "none" }).catch((error) => {
    console.info("The service worker was not installed, so the page does not open offline.", error);
  });
  if (!registration) return;

  const offerWaiting = () => {
    const { waiting } = registration;
    if (!waiting || !workers.controller) return;
    offer(() => {
      isReloading = true;
      waiting.postMessage("activate");
    });
  };
  registration.addEventListener("updatefound", () => {
    const { installing } = registration;
    installing?.addEventListener("statechange", () => installing.state === "installed" && offerWaiting());
  });
  offerWaiting();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") registration.update().catch(() => undefined);
  });
}

/** Remove what opens the page without the service, which has no page any more. */
async function remove() {
  const registration = await navigator.serviceWorker.getRegistration();
  await registration?.unregister();
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith("todo-page-")).map((name) => caches.delete(name)));
}

/** @param {() => void} reload */
function offer(reload) {
  toast("A new version of this page is ready.", { action: { label: "Reload", run: reload }, seconds: Infinity });
}

/** The only place where a script is named by a text: with Trusted Types it needs a policy. */
function scriptUrl() {
  const types = /** @type {{ trustedTypes?: { createPolicy: Function } }} */ (window).trustedTypes;
  if (!types) return SCRIPT;
  return types.createPolicy("todo", { createScriptURL: () => SCRIPT }).createScriptURL("");
}
