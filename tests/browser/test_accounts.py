"""Registering, signing in and out, and passwords."""

import httpx
from playwright.sync_api import expect

from tests.browser.account_page import AccountPage
from tests.browser.services import Service
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows, unique_email
from tests.support.users import PASSWORD

NEW_PASSWORD = "another rather long sentence"
UNAUTHORIZED = "status of 401"


def can_sign_in(service: Service, email: str, password: str) -> bool:
    login = {"email": email, "password": password}
    status = httpx.post(f"{service.url}/api/auth/login", json=login).status_code
    assert status in (200, 401)
    return status == 200


def test_a_new_user_registers_and_is_signed_in(windows: Windows, service: Service) -> None:
    account = AccountPage(windows.open())
    email = unique_email("grace")
    account.is_shown("Sign in")
    account.register("Grace", email)
    tasks = TasksPage(account.page).is_shown("All tasks")
    tasks.add("Find a moth").is_saved()
    assert can_sign_in(service, email, PASSWORD)


def test_the_form_for_new_users_says_what_is_wrong_at_its_fields(
    windows: Windows, service: Service
) -> None:
    ada = service.register()
    windows.expect_error("status of 409")
    account = AccountPage(windows.open("/?page=register")).is_shown("Create an account")
    account.submit("Create account")
    expect(account.field("Name")).to_have_accessible_description("Name is required.")
    expect(account.field("Name")).to_be_focused()
    account.field("Name").fill("Ada")
    account.field("Email").fill(ada.email)
    account.field("Password").fill("short")
    account.submit("Create account")
    expect(account.page.get_by_text("Password must have at least 8 characters.")).to_be_visible()
    account.field("Password").fill(PASSWORD)
    account.submit("Create account")
    expect(account.page.get_by_text("An account with this email already exists.")).to_be_visible()


def test_a_wrong_password_is_refused_and_the_right_one_signs_in(
    windows: Windows, service: Service
) -> None:
    ada = service.register()
    windows.expect_error(UNAUTHORIZED)
    account = AccountPage(windows.open())
    account.sign_in(ada.email, "a wrong password")
    expect(account.alert).to_contain_text("The email or the password is wrong.")
    account.sign_in(ada.email)
    TasksPage(account.page).is_shown("All tasks")


def test_the_address_that_was_asked_for_is_shown_after_signing_in(
    windows: Windows, service: Service
) -> None:
    ada = service.register()
    account = AccountPage(windows.open("/?view=today"))
    account.sign_in(ada.email)
    TasksPage(account.page).is_shown("Today")


def test_signing_out_leaves_nothing_of_the_user_in_the_browser(
    windows: Windows, service: Service
) -> None:
    ada = service.register()
    ada.create("Buy milk")
    tasks = windows.signed_in(ada)
    expect(tasks.task("Buy milk")).to_be_visible()
    settings = tasks.open_settings()
    settings.page.get_by_role("button", name="Sign out").click()
    account = AccountPage(tasks.page).is_shown("Sign in")
    stored = account.page.evaluate("""async () => JSON.stringify({
        local: { ...localStorage },
        databases: (await indexedDB.databases()).map(({ name }) => name),
    })""")
    assert ada.id not in stored
    assert "Buy milk" not in stored
    account.page.go_back()
    account.is_shown("Sign in")
    expect(account.page.get_by_text("Buy milk")).to_have_count(0)


def test_a_forgotten_password_is_reset_with_the_link_in_the_email(
    windows: Windows, service: Service
) -> None:
    ada = service.register()
    account = AccountPage(windows.open())
    account.is_shown("Sign in").follow("Forgot your password?")
    account.is_shown("Forgot your password?").field("Email").fill(ada.email)
    account.submit("Send the link")
    account.is_shown("Check your email")
    link = service.link_in_email_to(ada.email)
    account.page.goto(link)
    account.is_shown("Choose a new password")
    assert "token" not in account.page.url
    account.field("New password").fill(NEW_PASSWORD)
    account.submit("Set the new password")
    account.is_shown("Your password is changed").follow("Sign in")
    account.sign_in(ada.email, NEW_PASSWORD)
    TasksPage(account.page).is_shown("All tasks")
    assert not can_sign_in(service, ada.email, PASSWORD)


def test_a_link_that_was_used_leads_to_a_new_one(windows: Windows, service: Service) -> None:
    windows.expect_error("status of 400")
    account = AccountPage(windows.open("/reset-password?token=used"))
    account.is_shown("Choose a new password").field("New password").fill(NEW_PASSWORD)
    account.submit("Set the new password")
    account.is_shown("This link does not work any more").follow("Send a new link")
    account.is_shown("Forgot your password?")


def test_the_password_is_changed_and_other_devices_are_signed_out(
    windows: Windows, service: Service
) -> None:
    ada = service.register()
    windows.expect_error("status of 422")
    settings = windows.signed_in(ada).open_settings("Password")
    settings.field("Current password").fill("a wrong password")
    settings.field("New password").fill(NEW_PASSWORD)
    settings.submit("Change the password")
    expect(settings.page.get_by_text("password is wrong")).to_be_visible()
    settings.field("Current password").fill(PASSWORD)
    settings.submit("Change the password")
    settings.says("Your password is changed.")
    assert can_sign_in(service, ada.email, NEW_PASSWORD)
    assert ada.http.get(ada.tasks()).status_code == 401


def test_the_profile_and_the_time_zone_are_changed(windows: Windows, service: Service) -> None:
    ada = service.register()
    settings = windows.signed_in(ada).open_settings()
    settings.field("Name").fill("Ada L.")
    settings.submit("Save")
    settings.says("Saved.")
    settings.open("Preferences")
    settings.page.get_by_role("button", name="Use it").click()
    settings.says("Saved.")
    settings.page.get_by_role("switch", name="Reminders by email").uncheck()
    settings.says("Saved.")
    me = ada.http.get("/api/auth/me").json()
    assert (me["name"], me["time_zone"]) == ("Ada L.", "Europe/Berlin")
    assert me["reminder_emails"] is False


def test_the_chosen_theme_stays(windows: Windows, service: Service) -> None:
    settings = windows.signed_in(service.register()).open_settings("Preferences")
    settings.page.locator("label", has_text="Dark").click()
    html = settings.page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    settings.page.reload()
    expect(html).to_have_attribute("data-theme", "dark")


def test_another_device_is_signed_out_from_here(windows: Windows, service: Service) -> None:
    ada = service.register()
    windows.expect_error(UNAUTHORIZED)
    laptop, phone = windows.signed_in(ada), windows.signed_in(ada)
    settings = laptop.open_settings("Devices")
    settings.page.get_by_role("button", name="Sign out all other devices").click()
    AccountPage(phone.page).is_shown("Sign in")
    expect(phone.page.get_by_text("Your session has ended.")).to_be_visible()
    laptop.page.reload()
    expect(settings.page.get_by_role("heading", name="Settings", level=1)).to_be_visible()


def test_all_data_is_downloaded(windows: Windows, service: Service) -> None:
    ada = service.register()
    ada.create("Buy milk", tags=["home"])
    settings = windows.signed_in(ada).open_settings("Your data")
    with settings.page.expect_download() as download:
        settings.submit("Download")
    text = download.value.path().read_text()
    assert '"Buy milk"' in text
    assert ada.email in text


def test_an_account_is_deleted(windows: Windows, service: Service) -> None:
    ada = service.register()
    windows.expect_error("status of 422")
    settings = windows.signed_in(ada).open_settings("Your data")
    settings.submit("Delete the account")
    dialog = settings.page.get_by_role("dialog", name="Delete your account?")
    dialog.get_by_label("Your password").fill("a wrong password")
    dialog.get_by_role("button", name="Delete the account").click()
    expect(dialog.get_by_text("password is wrong")).to_be_visible()
    dialog.get_by_label("Your password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Delete the account").click()
    AccountPage(settings.page).is_shown("Sign in")
    assert not can_sign_in(service, ada.email, PASSWORD)
