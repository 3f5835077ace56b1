/**
 * Rates what is shown in a window of a Chromium that is running, with Lighthouse.
 *
 * Usage: node lighthouse.mjs PORT URL, where Chromium listens for its debugger on the port. Its
 * default profile is used as it is, so that a signed-in user stays signed in.
 */

import lighthouse from "lighthouse";

const [port, url] = process.argv.slice(2);
const { lhr } = await lighthouse(url, {
  port: Number(port),
  disableStorageReset: true,
  formFactor: "desktop",
  screenEmulation: { disabled: true },
  throttlingMethod: "provided",
  onlyCategories: ["performance", "accessibility", "best-practices"],
  logLevel: "error",
});
const scores = Object.fromEntries(Object.values(lhr.categories).map(({ id, score }) => [id, Math.round((score ?? 0) * 100)]));
const failed = Object.values(lhr.audits)
  .filter(({ score, scoreDisplayMode }) => score !== null && score < 0.9 && ["binary", "numeric", "metricSavings"].includes(scoreDisplayMode))
  .map(({ id, displayValue = "", details }) => `${id} ${displayValue} ${JSON.stringify(details?.items ?? []).slice(0, 300)}`);
console.log(JSON.stringify({ scores, failed, error: lhr.runtimeError ?? null }));
