"""The page at /, and at /client/ the modules that other front ends import.

The files are in `todo_api/web`. FastAPI's `frontend` sends them; what is here says which URLs they
have, and which headers the responses. Only requests that match no route of the API get here.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.http.whole_files import WholeFiles

_CLIENT = "/client/"
_WEB = Path(str(files("todo_api.web")))
_HASH_DIGITS = 32
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
_HEADERS_OF_PARTS = ("Accept-Ranges", "Last-Modified")
"""What Starlette adds for ranges and times, which do not count here."""
_SMALLEST_COMPRESSED_BYTES = 500
_COMPRESSION_LEVEL = 6
_START_PAGE = "/index.html"
_PAGE_URLS = ("/", "/reset-password")
"""The URLs of the page: its views differ only in the query. Emails link to /reset-password."""
_WORKER = "/sw.js"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
}
"""The files that are served. They are named here because systems differ in what they guess."""
_COMMENTED = (".css", ".js")
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)$", re.DOTALL | re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script';"
    " trusted-types todo"
)
_HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
"""In addition to those of every response (`todo_api.server.headers`)."""
_HEADERS_OF_PAGE = {"Cross-Origin-Resource-Policy": "same-origin"}
_HEADERS_OF_DOCUMENTS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""For the page and the service worker. Other files only need that no page is made of them."""
_HEADERS_OF_CLIENT = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def serve(app: FastAPI, *, page: bool) -> None:
    """Serve the client, and the page if wanted, at the URLs for which the API has no route."""
    router = APIRouter(redirect_slashes=False)
    served = _files_below(_WEB / "client", _CLIENT)
    router.frontend(_CLIENT, directory=_WEB / "client", fallback=None)
    if page:
        served |= _files_below(_WEB / "page", "/")
        router.frontend("/", directory=_WEB / "page", fallback=None)
    app.router.default = _FrontEnd(served, router, otherwise=app.router.default)


def is_public(scope: Scope) -> bool:
    """Return whether pages of every origin may read what is at this URL."""
    return _url_path(scope).startswith(_CLIENT)


def _url_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _files_below(folder: Path, prefix: str) -> dict[str, Path]:
    """Return the files to serve by their URL path."""
    return {
        f"{prefix}{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }


class _FrontEnd:
    """Responds to requests for the page and the client, and passes on all others.

    The validator of a file is a hash of its content: in an image, all files may have the same time.
    """

    def __init__(self, served: Mapping[str, Path], router: ASGIApp, *, otherwise: ASGIApp) -> None:
        self._files = served
        self._router = router
        self._otherwise = otherwise
        self._respond = GZipMiddleware(
            WholeFiles(self._send_file),
            minimum_size=_SMALLEST_COMPRESSED_BYTES,
            compresslevel=_COMPRESSION_LEVEL,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        url_path = _url_path(scope) if scope["type"] == "http" else ""
        if url_path in _PAGE_URLS:
            url_path = _START_PAGE
        file = self._files.get(url_path)
        if file is None:
            await self._otherwise(scope, receive, send)
            return
        is_worker = url_path == _WORKER
        tag = f'W/"{_version(self._files) if is_worker else _hash_of(file)}"'
        send = _adding(_headers_of(url_path, file) | {"ETag": tag}, send)
        if _reads(scope) and _has(scope, tag):
            await Response(status_code=HTTPStatus.NOT_MODIFIED)(scope, receive, send)
            return
        path = scope.get("root_path", "") + url_path
        headers = [each for each in scope["headers"] if each[0] not in _CONDITIONS]
        await self._respond({**scope, "path": path, "headers": headers}, receive, send)

    async def _send_file(self, scope: Scope, receive: Receive, send: Send) -> None:
        url_path = _url_path(scope)
        file = self._files[url_path]
        if not _reads(scope) or file.suffix not in _COMMENTED:
            await self._router(scope, receive, send)
            return
        text = _shortened(file.read_text("utf-8"))
        if url_path == _WORKER:
            text = f"{_constants(self._files)}\n{text}"
        await Response(text)(scope, receive, send)


def _headers_of(url_path: str, file: Path) -> dict[str, str]:
    headers = _HEADERS | {"Content-Type": _MEDIA_TYPES[file.suffix]}
    headers |= _HEADERS_OF_CLIENT if url_path.startswith(_CLIENT) else _HEADERS_OF_PAGE
    return headers | _HEADERS_OF_DOCUMENTS if url_path in (_START_PAGE, _WORKER) else headers


def _reads(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD")


def _has(scope: Scope, tag: str) -> bool:
    """Return whether the sender of the request has this version (RFC 9110 §13.1.2)."""
    known = Headers(scope=scope).get("if-none-match", "")
    return known == "*" or tag in (each.strip() for each in known.split(","))


def _adding(headers: Mapping[str, str], send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = MutableHeaders(raw=message["headers"])
            sent.update(headers)
            for name in _HEADERS_OF_PARTS:
                del sent[name]
        await send(message)

    return with_headers


def _hash_of(file: Path) -> str:
    found = file.stat()
    return _hash(file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=256)
def _hash(file: Path, _changed: int, _size: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:_HASH_DIGITS]


def _version(served: Mapping[str, Path]) -> str:
    """Return a hash that changes with each of the files."""
    all_files = "".join(f"{path} {_hash_of(file)}\n" for path, file in served.items())
    return hashlib.sha256(all_files.encode()).hexdigest()[:_HASH_DIGITS]


def _shortened(text: str) -> str:
    """Return a module or a style sheet without indentation and comments on lines of their own.

    They are a quarter of what would be transferred. The lines keep their numbers. No module may
    have a template of several lines, which would lose its indentation; a test looks for one.
    """
    return _INDENTATION.sub("", _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text))


def _constants(served: Mapping[str, Path]) -> str:
    """Return what the service worker is told: the files that the page needs without a network."""
    needed = [
        "./" if path == _START_PAGE else f".{path}"
        for path, file in served.items()
        if path != _WORKER and file.suffix != ".ts"
    ]
    return f"const VERSION = {json.dumps(_version(served))}; const FILES = {json.dumps(needed)};"
