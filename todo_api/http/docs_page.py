"""The interactive documentation at /docs, without requests to other hosts."""

import base64
import hashlib
import re
from html import escape
from importlib.resources import files
from typing import override

from anyio import sleep_forever
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

_ASSETS = "/docs/assets"


def serve(app: FastAPI) -> None:
    """Serve Swagger UI with the files of the package fastapi-offline."""

    async def swagger_ui(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=escape(f"{app.title} - Swagger UI"),
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _content_security_policy(
            bytes(page.body).decode()
        )
        return page

    app.add_route("/docs", swagger_ui, include_in_schema=False)
    app.mount(_ASSETS, _WholeFiles(directory=str(files("fastapi_offline") / "static")))


class _WholeFiles(StaticFiles):
    """Static files that ignore `Range` (RFC 9110 §14.2) and the body of the request.

    Starlette answers a range that it cannot serve in plain text instead of a problem document. A
    body that is too large could be refused while the file is already being sent.
    """

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, _receive_nothing, send)


async def _receive_nothing() -> Message:
    await sleep_forever()
    raise AssertionError("sleep_forever returned")


def _content_security_policy(page: str) -> str:
    """Return a Content-Security-Policy for the page: its own host, and its inline scripts."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    inline = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src 'self' {inline}; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none';"
        " form-action 'none'"
    )
