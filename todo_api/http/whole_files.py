"""How the files of /docs and of the page are sent: whole, and whatever the body of the request."""

from anyio import sleep_forever
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class WholeFiles:
    """Hides `Range` (RFC 9110 §14.2) and the body of the request from an app that sends files.

    Starlette answers a range that it cannot serve in plain text instead of a problem document. A
    body that is too large could be refused while the file is already being sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await self._app({**scope, "headers": headers}, _receive_nothing, send)


async def _receive_nothing() -> Message:
    await sleep_forever()
    raise AssertionError("sleep_forever returned")
