"""The interactive documentation at /docs, without requests to other hosts."""

import base64
import hashlib
import re
from html import escape
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from todo_api.http.whole_files import WholeFiles

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
    assets = StaticFiles(directory=str(files("fastapi_offline") / "static"))
    app.mount(_ASSETS, WholeFiles(assets))


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
