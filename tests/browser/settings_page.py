"""The settings, as a user sees them."""

from typing import Self

from playwright.sync_api import Locator, Page, expect


class SettingsPage:
    """The settings, one section at a time."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, section: str) -> Self:
        """Show a section by its link."""
        link = self.page.get_by_role("link", name=section, exact=True)
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        expect(self.page.get_by_role("heading", level=2, name=section, exact=True)).to_be_attached()
        return self

    def field(self, label: str) -> Locator:
        """Return a field."""
        return self.page.get_by_label(label, exact=True)

    def submit(self, label: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=label, exact=True).click()

    def says(self, text: str) -> None:
        """Wait for a message, and close it."""
        message = self.page.locator(".toast").filter(has_text=text)
        expect(message).to_be_visible()
        message.get_by_role("button", name="Close the message").click()
        expect(message).to_have_count(0)
