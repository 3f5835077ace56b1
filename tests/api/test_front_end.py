"""The page at / and the client at /client/, as they are sent."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import anyio
import httpx
import pytest
import structlog
from fastapi import FastAPI

from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate
from todo_api.app import create_app

CLIENT = "/client/todo.js"
ELSEWHERE = {"Origin": "https://app.example.com"}
NAVIGATION = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE = Path(str(files("todo_api.web"))) / "page"


@pytest.fixture
def http(sqlite_server: RunningServer) -> Iterator[httpx.Client]:
    with sqlite_server.client() as client:
        yield client


class TestPage:
    @pytest.mark.parametrize("path", ["/", "/reset-password?token=a", "/?view=today"])
    def test_the_page_is_at_all_of_its_urls(self, http: httpx.Client, path: str) -> None:
        answer = http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.content == (PAGE / "index.html").read_bytes()

    def test_every_file_of_the_page_and_the_client_is_served_with_its_type(
        self, http: httpx.Client
    ) -> None:
        types = {
            ".css": "text/css; charset=utf-8",
            ".html": "text/html; charset=utf-8",
            ".js": "text/javascript; charset=utf-8",
            ".png": "image/png",
            ".svg": "image/svg+xml",
            ".ts": "text/plain; charset=utf-8",
            ".webmanifest": "application/manifest+json",
        }
        web = PAGE.parent
        folders = (web / "client", web / "page")
        found = [path for each in folders for path in each.rglob("*") if path.is_file()]
        assert {".css", ".html", ".js", ".svg", ".ts"} <= {path.suffix for path in found}
        for path in found:
            url = "/" + path.relative_to(web).as_posix().removeprefix("page/")
            answer = http.get(url)
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                types[path.suffix],
            ), url
            if path.suffix not in (".css", ".js"):
                assert answer.content == path.read_bytes()

    def test_the_policy_allows_only_files_of_this_service(self, http: httpx.Client) -> None:
        headers = http.get("/").headers
        worker = http.get("/sw.js").headers
        assert worker["content-security-policy"] == headers["content-security-policy"]
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "require-trusted-types-for 'script'; trusted-types todo" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"

    def test_the_page_can_be_switched_off_and_the_client_remains(self, tmp_path: Path) -> None:
        settings = embedded_settings(tmp_path).model_copy(update={"page_enabled": False})
        migrate(settings)
        with running_server(settings) as server, server.client() as http:
            for path in ("/", "/reset-password", "/app.js", "/sw.js"):
                answer = http.get(path, headers=NAVIGATION)
                assert answer.status_code == 404
                assert problem(answer)["code"] == "not_found"
            assert http.get(CLIENT).status_code == 200


class TestOtherUrls:
    @pytest.mark.parametrize(
        "path",
        [
            *("/nothing", "/api", "/api/nothing", "/api/tasks/1/nothing", "/client/", "/client"),
            *("/client/nothing.js", "/page/index.html", "/%2e%2e/__init__.py"),
            *("/__init__.py", "/tasks/", "/sw.js/", "/a%00", "/reset-password/"),
        ],
    )
    def test_an_unknown_url_is_a_problem_for_browsers_too(
        self, http: httpx.Client, path: str
    ) -> None:
        for headers in ({}, NAVIGATION):
            answer = http.get(path, headers=headers)
            assert answer.status_code == 404
            assert problem(answer)["code"] == "not_found"

    @pytest.mark.parametrize("path", ["/", "/sw.js", CLIENT])
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_files_can_only_be_read(self, http: httpx.Client, method: str, path: str) -> None:
        answer = http.request(method, path)
        assert answer.status_code == 405
        assert problem(answer)["code"] == "method_not_allowed"
        assert answer.headers["allow"] == "GET, HEAD"


class TestFiles:
    @pytest.mark.parametrize("path", ["/", "/sw.js", CLIENT])
    def test_a_file_that_the_browser_has_is_not_sent_again(
        self, http: httpx.Client, path: str
    ) -> None:
        first = http.get(path)
        assert first.headers["cache-control"] == "no-cache"
        for condition in (first.headers["etag"], f'"a", {first.headers["etag"]}', "*"):
            second = http.get(path, headers={"If-None-Match": condition})
            assert (second.status_code, second.content) == (304, b"")
            assert second.headers["etag"] == first.headers["etag"]
        stale = {"If-None-Match": '"a"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        assert http.get(path, headers=stale).content == first.content

    @pytest.mark.parametrize("path", ["/", "/sw.js", CLIENT])
    def test_head_has_the_headers_and_no_body(self, http: httpx.Client, path: str) -> None:
        head, get = http.head(path), http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-security-policy", "etag"):
            assert head.headers[name] == get.headers[name]

    @pytest.mark.parametrize("path", ["/", "/sw.js", CLIENT])
    @pytest.mark.parametrize("headers", [{"Range": "bytes=0-3"}, {"Range": "bytes=9999999-"}])
    def test_a_file_is_sent_whole(
        self, http: httpx.Client, path: str, headers: dict[str, str]
    ) -> None:
        answer = http.request("GET", path, headers=headers, content=b"a body that nobody reads")
        assert answer.status_code == 200
        assert answer.content == http.get(path).content

    @pytest.mark.parametrize("path", ["/", "/sw.js", "/client/client.js"])
    def test_files_are_compressed_where_the_client_can_read_it(
        self, http: httpx.Client, path: str
    ) -> None:
        plain = http.get(path, headers={"Accept-Encoding": "identity"})
        packed = http.get(path, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content
        assert int(packed.headers["content-length"]) < len(plain.content)
        for answer in (plain, packed):
            assert answer.headers["vary"] == "Accept-Encoding"

    def test_responses_of_the_api_are_not_compressed(self, sqlite_server: RunningServer) -> None:
        ada = sqlite_server.register("Ada")
        with ada.http:
            ada.create(description="a" * 900)
            answer = ada.http.get(ada.tasks(), headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in answer.headers


class TestComments:
    @pytest.fixture
    def served(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
        """What is sent for a module with this text."""
        web = tmp_path / "web"
        (web / "client").mkdir(parents=True)
        monkeypatch.setattr("todo_api.http.front_end._WEB", web)
        (web / "client" / "todo.js").touch()
        app = create_app(embedded_settings(tmp_path).model_copy(update={"page_enabled": False}))

        def send(text: str) -> str:
            (web / "client" / "todo.js").write_text(text)
            return get(app, CLIENT).text

        return send

    def test_comments_on_lines_of_their_own_are_not_sent(
        self, served: Callable[[str], str]
    ) -> None:
        assert served("/** a\n * b */\n  /* c */  \nx();\n") == "\n\n\nx();\n"
        assert served("// /* a\nb();\n  // */\nc();\n") == "\nb();\n\nc();\n"

    @pytest.mark.parametrize(
        "text",
        [
            "/** @type {A} */ (a)\nb();\n/* c */ d();\n",
            "const a = 1; /* b */\nconst c = 2; /* d */\n",
            'const a = "/*";\nconst b = "*/";\n',
            "a(); // b\nc();\n",
        ],
    )
    def test_a_comment_beside_code_stays_and_so_does_the_code(
        self, served: Callable[[str], str], text: str
    ) -> None:
        assert served(text) == text


class TestClient:
    def test_pages_of_every_origin_may_import_the_client(self, http: httpx.Client) -> None:
        with structlog.testing.capture_logs() as lines:
            answer = http.get(CLIENT, headers=ELSEWHERE)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "cors.refused" not in {line["event"] for line in lines}

    def test_pages_of_other_origins_may_not_read_the_page(self, http: httpx.Client) -> None:
        assert "access-control-allow-origin" not in http.get("/", headers=ELSEWHERE).headers


class TestServiceWorker:
    def test_it_names_every_file_that_the_page_needs(self, http: httpx.Client) -> None:
        text = http.get("/sw.js").text
        first, _, rest = text.partition("\n")
        assert 'worker.addEventListener("fetch"' in rest
        found = re.fullmatch(r'const VERSION = "[0-9a-f]{32}"; const FILES = \[(.+)\];', first)
        assert found is not None
        names = set(re.findall(r'"([^"]+)"', found[1]))
        assert {"./", "./app.js", "./client/todo.js"} <= names
        assert not any(name.endswith((".ts", "sw.js")) for name in names)
        for name in names:
            assert http.get(name.removeprefix(".")).status_code == 200

    def test_its_version_changes_with_each_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web = tmp_path / "web"
        (web / "client").mkdir(parents=True)
        (web / "page").mkdir()
        for name in ("client/todo.js", "page/app.js", "page/sw.js", "page/index.html"):
            (web / name).write_text("a")
        monkeypatch.setattr("todo_api.http.front_end._WEB", web)
        app = create_app(embedded_settings(tmp_path))
        seen = {get(app, "/sw.js").text}
        for name in ("client/todo.js", "page/app.js", "page/sw.js", "page/index.html"):
            (web / name).write_text("longer")
            seen.add(get(app, "/sw.js").text.splitlines()[0])
        assert len(seen) == 5


def test_the_page_works_below_a_path_of_a_proxy(tmp_path: Path) -> None:
    app = create_app(embedded_settings(tmp_path))
    for path in ("/todo/", "/todo/client/todo.js", "/todo/sw.js"):
        assert get(app, path, root_path="/todo").status_code == 200
    assert get(app, "/todo/nothing", root_path="/todo").status_code == 404


def get(app: FastAPI, path: str, root_path: str = "") -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return anyio.run(request)


def test_no_module_has_a_template_of_several_lines() -> None:
    """It would be sent without its indentation."""
    modules = sorted(Path(str(files("todo_api.web"))).rglob("*.js"))
    lines = [line.strip() for each in modules for line in each.read_text("utf-8").splitlines()]
    code = [line for line in lines if not line.startswith(("*", "/"))]
    assert len(modules) > 50
    assert [line for line in code if line.count("`") % 2] == []
