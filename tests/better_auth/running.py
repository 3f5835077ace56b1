"""A real Better Auth for the tests, served by Node from this folder.

A token that a test makes up only proves what its author believes about Better Auth. These tokens
come from Better Auth itself, in the version that `package.json` pins.
"""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.node import install, program
from tests.support.processes import free_port

FOLDER = Path(__file__).parent
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 10
PASSWORD = "a rather long sentence"

SESSION_CACHE_COOKIE = "better-auth.session_data"


@dataclass(frozen=True)
class SignedUp:
    """A user who signed up, and the cookies of their browser."""

    id: str
    name: str
    email: str
    _url: str
    _cookies: httpx.Cookies = field(repr=False)

    @property
    def cookie(self) -> str:
        """The value of the Cookie header of their browser."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def jwks_token(self) -> str:
        """Return a token that the JWT plugin signs with a key of its JWKS."""
        return self._token("/api/auth/token")

    def shared_secret_token(self) -> str:
        """Return a token that a front end signs for this user with Better Auth's secret."""
        return self._token("/shared-secret-token")

    def session_cache_token(self) -> str:
        """Return the JWT of the cookie that caches the session, signed with the same secret."""
        with self._browser() as browser:
            browser.get("/api/auth/get-session").raise_for_status()
            return browser.cookies[SESSION_CACHE_COOKIE]

    def verification_token(self) -> str:
        """Return the JWT of the link that verifies the email, signed with the same secret."""
        return self._token("/verification-token", email=self.email)

    def _token(self, path: str, **parameters: str) -> str:
        with self._browser() as browser:
            answer = browser.get(path, params=parameters).raise_for_status()
        return str(answer.json()["token"])

    def _browser(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, cookies=self._cookies, timeout=30)


@dataclass(frozen=True)
class BetterAuth:
    """A running Better Auth: its URL, and the secret that it signs with."""

    url: str
    secret: str

    def sign_up(self, name: str, email: str, password: str = PASSWORD) -> SignedUp:
        """Sign up a user with an email that is not yet registered."""
        details = {"name": name, "email": email, "password": password}
        answer = httpx.post(f"{self.url}/api/auth/sign-up/email", json=details, timeout=30)
        user = answer.raise_for_status().json()["user"]
        return SignedUp(user["id"], user["name"], user["email"], self.url, answer.cookies)

    def jwks(self) -> dict[str, Any]:  # JSON
        """Return its public keys (RFC 7517)."""
        answer = httpx.get(f"{self.url}/api/auth/jwks", timeout=30)
        return dict(answer.raise_for_status().json())


@contextmanager
def running_better_auth() -> Iterator[BetterAuth]:
    """Run a server without users until the block ends.

    Raises:
        RuntimeError: Node or npm is missing, its packages cannot be installed,
            or it does not start in time.
    """
    install(FOLDER)
    better_auth = BetterAuth(f"http://127.0.0.1:{free_port()}", secrets.token_urlsafe(32))
    environment = {
        **os.environ,
        "BETTER_AUTH_URL": better_auth.url,
        "BETTER_AUTH_SECRET": better_auth.secret,
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [program("node"), "server.mjs"], cwd=FOLDER, env=environment, stdout=log, stderr=log
        )
        try:
            if not _started(process, better_auth.url):
                log.seek(0)
                raise RuntimeError(f"Better Auth did not start:\n{log.read().decode()}")
            yield better_auth
        finally:
            _stop(process)


def _started(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(url):
            return True
        time.sleep(0.05)
    return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/auth/ok", timeout=2).is_success
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
