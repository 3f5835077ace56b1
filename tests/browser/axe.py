"""Whether everybody can use what is shown, as axe-core finds it."""

from functools import cache

from playwright.sync_api import Page

from tests.browser.programs import FOLDER
from tests.support.node import install

_RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}"""


def violations(page: Page) -> list[str]:
    """Return what axe-core finds on the page as it is now."""
    page.evaluate(_source())
    found: list[str] = page.evaluate(_RUN)
    return found


@cache
def _source() -> str:
    install(FOLDER)
    return (FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text()
