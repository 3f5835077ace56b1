"""The views of the page without a signed-in user, as users see them."""

from typing import Self

from playwright.sync_api import Locator, Page, expect

from tests.support.users import PASSWORD


class AccountPage:
    """Sign in, register, and the password that was forgotten."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def alert(self) -> Locator:
        """What the form says about an error that is of no field."""
        return self.page.get_by_role("alert").filter(visible=True)

    def is_shown(self, title: str) -> Self:
        """Wait until the view with this title is there."""
        expect(self.page.get_by_role("heading", level=1, name=title, exact=True)).to_be_visible()
        return self

    def field(self, label: str) -> Locator:
        """Return a field of the form."""
        return self.page.get_by_label(label, exact=True)

    def follow(self, label: str) -> None:
        """Follow a link to another view."""
        self.page.get_by_role("link", name=label, exact=True).click()

    def submit(self, label: str) -> None:
        """Press the button of the form."""
        self.page.get_by_role("button", name=label, exact=True).click()

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Fill in the form, and send it."""
        self.is_shown("Sign in")
        self.field("Email").fill(email)
        self.field("Password").fill(password)
        self.submit("Sign in")

    def register(self, name: str, email: str, password: str = PASSWORD) -> None:
        """Go to the form for new users, fill it in, and send it."""
        self.follow("Create an account")
        self.is_shown("Create an account")
        self.field("Name").fill(name)
        self.field("Email").fill(email)
        self.field("Password").fill(password)
        self.submit("Create account")
