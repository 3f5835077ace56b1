"""The service refuses settings at startup or works with them, whatever they are.

Plausible and hostile values are drawn for a few variables at a time. If they are refused, the
message names one of the variables and repeats no secret. If they are accepted, the service starts
and responds to a round of requests as it does with default settings.
"""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jose import jwt

from tests.support.proof import note
from tests.support.servers import running_server
from tests.support.settings import embedded_settings, migrate
from todo_api.container import Container
from todo_api.settings import Settings, SettingsError, load_settings
from todo_api.settings.secret_files import secret_fields
from todo_core.errors import Unavailable

SECRET = "a secret that is thirty-two bytes"
OTHER_SECRET = "another secret, which is thirty-two bytes"
PASSWORD = "a rather long sentence that has more than sixty-four characters in it"
FEW, MANY = 15, 1000
SHORTEST_ROUND_SECONDS = 30
"""A round of requests takes less time. Tokens with a shorter lifetime may expire during it."""

HOSTILE = st.one_of(
    st.sampled_from(
        [
            *(" ", "\t", "0", "-1", "9" * 30, "1e400", "nan", "٣", "null", "[]", "{}", "*"),
            *("\x07", "a\nb", "\udcff", "\u2028", "é", "\x1b[31m", "a" * 5000, "</script>", "%00"),
            *("../..", "/dev/null", "sqlite:///", "http://", "://", "@", "=?utf-8?b?YQ==?="),
        ]
    ),
    st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30),
)
HOSTS = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "LOCALHOST", "127.0.0.1.", "a..b"]
HOSTS += [
    "",
    "1.2.3",
    "127.1",
    "x" * 64 + ".localhost",
    "bücher.localhost",
    "a_b.localhost",
    "a b",
    "-",
]


@st.composite
def urls(draw: st.DrawFn, *schemes: str) -> str:
    """Draw a URL of which each part may be unusual."""
    scheme = draw(st.sampled_from(schemes))
    user = draw(st.sampled_from(["", "", "", "u@", "u:p@", "u:p%40@", "u:%zz@", "u:%00@", ":@"]))
    host = draw(st.sampled_from(HOSTS))
    port = draw(st.sampled_from(["", ":1", ":0", ":", ":65535", ":65536", ":x", ":-1"]))
    path = draw(st.sampled_from(["", "", "/", "/0", "/todo", "/99999999", "/%00", "/a b", "//"]))
    query = draw(st.sampled_from(["", "", "", "?", "?a=b", "?sslmode=x", "?db=x", "#", "#a", "?x"]))
    return f"{scheme}://{user}{host}{port}{path}{query}"


def any_of(*values: str) -> st.SearchStrategy[str]:
    """Draw one of these values."""
    return st.sampled_from(values)


durations = any_of("1s", "30s", "5m", "1h", "7d", "52w", "3650d", "999999w", "0", "1.5h", "-1d")
limits = st.one_of(
    any_of("1/second", "5 per 2 minutes", "3/15minutes; 10/day", "0/minute", "1/9999999years"),
    st.builds(
        "{}/{}{}".format,
        st.sampled_from(["1", "7", "1000000", "9" * 12, "-1", "00"]),
        st.sampled_from(["", "0", "1", "15", "99999999999"]),
        st.sampled_from(["second", "minutes", "hour", "days", "month", "year", "week"]),
    ),
)
flags = any_of("true", "false", "0", "1", "yes")
issuers = any_of(
    '[{"issuer": "https://a.invalid/", "jwks_url": "https://127.0.0.1:1/k", "audience": null}]',
    '[{"issuer": "a\\u0000b", "jwks_url": "http://a.invalid", "audience": "a"}]',
    '[{"issuer": "\\ud800", "jwks_url": "http://a.invalid", "audience": "a"}]',
    '[{"issuer": "a", "jwks_url": "http://a.invalid:0", "audience": ["a", "b"]}]',
    "[" * 100_000,
)
secret_files = any_of(
    "a file", "a secret", "no such file", ".", "/dev/null", "/dev/zero", "a file/b"
)
KINDS: dict[str, st.SearchStrategy[str]] = {
    "APP_NAME": any_of("Todo", "<b>", "é"),
    "APP_VERSION": any_of("1", "v2 beta"),
    "DEBUG": flags,
    "LOG_LEVEL": any_of("debug", "error"),
    "LOG_FORMAT": any_of("json", "console"),
    "CPU_AFFINITY": any_of("auto", "off"),
    "METRICS_PORT": any_of("1", "9464", "65535", "65536"),
    "METRICS_HOST": any_of("127.0.0.1", "::1", "::", "localhost", "192.0.2.1"),
    "DATA_DIR": any_of("todo-data", "a/b", "./ü", "a?b=c", "100%41", "#", "file:x", "a file", "~"),
    "DRAIN_DELAY": durations,
    "DATABASE_POOL_SIZE": any_of("1", "2", "100", "101"),
    "DATABASE_POOL_TIMEOUT": durations,
    "DATABASE_PREPARED_STATEMENTS": any_of("auto", "never"),
    "JWT_SECRET": any_of(SECRET, OTHER_SECRET, "short"),
    "JWT_PREVIOUS_SECRETS": any_of(SECRET, f"{SECRET},{SECRET}", "short"),
    "JWT_ALGORITHM": any_of("HS256", "none"),
    "JWT_ISSUER": any_of("todo", "https://todo.example.com", "better-auth", "a" * 200),
    "JWT_AUDIENCE": any_of("todo", "a" * 200),
    "ACCESS_TOKEN_TTL": durations,
    "REFRESH_TOKEN_TTL": durations,
    "REFRESH_TOKEN_IDLE_TTL": durations,
    "SESSION_CHECK_INTERVAL": durations,
    "MAX_SESSIONS_PER_USER": any_of("1", "2", "0"),
    "MAX_TASKS_PER_USER": any_of("1", "100000000", "0"),
    "TRASH_TTL": durations,
    "REMINDER_INTERVAL": durations,
    "REMINDER_EMAILS": flags,
    "EXTERNAL_ISSUERS": issuers,
    "PASSWORD_MIN_LENGTH": any_of("8", "15", "64", "65"),
    "PASSWORD_BCRYPT_COST": any_of("4", "5", "3"),
    "PASSWORD_HASHING_THREADS": any_of("1", "32", "33"),
    "PASSWORD_RESET_TTL": durations,
    "SMTP_URL": urls("smtp", "smtps"),
    "MAIL_SENDER": any_of(
        "Todo <todo@localhost>", "a@b", '"a, b" <a@b.c>', "a@[127.0.0.1]", "ü <a@b>"
    ),
    "PASSWORD_RESET_URL": urls("http", "https"),
    "PAGE_ENABLED": flags,
    "RATE_LIMIT_ENABLED": flags,
    "RATE_LIMIT_STORAGE": urls("redis", "rediss", "memory"),
    "CORS_ORIGINS": st.one_of(urls("http", "https"), any_of("*", "http://a,http://b", "null")),
    "TRUSTED_PROXIES": any_of("127.0.0.1", "::1", "10.0.0.0/8", "10.0.0.1/8", "::ffff:0:0/90"),
    "MAX_BODY_SIZE": any_of("1024", "1000000", "1" + "0" * 20),
    "REGISTRATION": any_of("open", "closed"),
    "REQUIRE_IF_MATCH": flags,
    "REQUIRE_URL_USER_ID": flags,
    "TASK_LIST_ENVELOPE": flags,
}
UNPREFIXED: dict[str, st.SearchStrategy[str]] = {
    "DATABASE_URL": st.one_of(
        urls("postgresql", "postgres"),
        any_of("sqlite:///a.db", "sqlite:///a/b.db", "sqlite:///a.db?x=y", "sqlite:///%2e/c.db"),
    ),
    "TODO_MIGRATION_DATABASE_URL": urls("postgresql"),
    "BETTER_AUTH_SECRET": any_of(SECRET, OTHER_SECRET, f"{SECRET} "),
    "BETTER_AUTH_URL": urls("http", "https"),
    "BETTER_AUTH_JWKS_URL": urls("http", "https"),
    "BETTER_AUTH_ISSUER": any_of("https://app.example.com", "better-auth", "todo"),
    "BETTER_AUTH_AUDIENCE": any_of("todo", "a,b"),
}
SECRETS = {"DATABASE_URL", "BETTER_AUTH_SECRET", "TODO_JWT_SECRET", "TODO_JWT_PREVIOUS_SECRETS"}
STORAGE = {"DATABASE_URL", "TODO_DATA_DIR"}
"""The variables that say where the database is."""

WORDING_WITH_URLS = (
    "begin with postgresql:// (or sqlite:/// and a file's path).",
    "such as sqlite:///folder/todo.db.",
)
"""Fixed wording of refusals that contains the beginnings of URLs.

A DATABASE_URL that is nothing but such a beginning occurs in it without being repeated.
"""


def variable_kinds() -> dict[str, st.SearchStrategy[str]]:
    """Return the environment variable of every setting, and plausible values for it."""
    kinds = {**UNPREFIXED}
    for field, info in Settings.model_fields.items():
        variable = str(info.validation_alias or f"TODO_{field}".upper())
        name = variable.removeprefix("TODO_")
        if variable not in kinds:
            kinds[variable] = KINDS.get(name, limits if name.startswith("LIMIT_") else HOSTILE)
    for field in secret_fields(Settings):
        info = Settings.model_fields[field]
        kinds[f"{info.validation_alias or f'TODO_{field}'.upper()}_FILE"] = secret_files
    return kinds


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Draw some variables and a value for each."""
    kinds = variable_kinds()
    names = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4, unique=True))
    return {name: draw(st.one_of(kinds[name], kinds[name], HOSTILE)) for name in names}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database without content."""
    folder = tmp_path_factory.mktemp("migrated")
    migrate(embedded_settings(folder))
    return folder / "todo-data" / "todo.db"


def test_all_settings_are_fuzzed() -> None:
    fuzzed = {f"TODO_{name}" for name in KINDS} | set(UNPREFIXED)
    others = {name.removesuffix("_FILE") for name in variable_kinds()} - fuzzed
    assert {name for name in others if not name.startswith("TODO_LIMIT_")} == set()


@settings(max_examples=FEW, deadline=None, suppress_health_check=list(HealthCheck))
@given(environment=environments())
@example({"TODO_DATA_DIR": "a?b=c", "TODO_APP_NAME": "</title><script>"})
@example({"DATABASE_URL": "sqlite:///"})
@example({"DATABASE_URL": "postgresql:/"})
@example({"TODO_LIMIT_REGISTER": "0/minute"})
@example({"TODO_REFRESH_TOKEN_TTL": "999999w"})
@example({"TODO_JWT_ISSUER": "a" * 5000})
@example({"TODO_REGISTRATION": "closed", "TODO_MAX_SESSIONS_PER_USER": "1"})
@example({"TODO_SMTP_URL": "smtp://u:p@bücher.localhost:1", "TODO_MAIL_SENDER": "ü <a@b>"})
@example({"TODO_JWT_SECRET_FILE": "a secret"})
@example({"TODO_JWT_SECRET_FILE": "a file", "TODO_SMTP_URL_FILE": "a secret"})
@example({"BETTER_AUTH_SECRET": OTHER_SECRET, "BETTER_AUTH_ISSUER": "é"})
def test_settings_are_refused_at_startup_or_work(
    migrated_file: Path, environment: dict[str, str]
) -> None:
    require_refused_or_working(migrated_file, environment)


@pytest.mark.proof
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(environment=environments())
def test_many_settings_are_refused_at_startup_or_work(
    migrated_file: Path, environment: dict[str, str]
) -> None:
    note("settings", "refused at startup, or a round of requests", failed=1)
    require_refused_or_working(migrated_file, environment)
    note("settings", "refused at startup, or a round of requests", tried=0, failed=-1)


def require_refused_or_working(migrated_file: Path, environment: dict[str, str]) -> None:
    """Start the service in a new folder with these variables, and send a round of requests."""
    with ExitStack() as stack:
        # A background job that still sends mail may open the database while the folder is removed.
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        (folder / "a file").touch()
        (folder / "a secret").write_text(f"{SECRET}\n")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.chdir(folder)
        patch.setenv("TODO_PASSWORD_BCRYPT_COST", "4")
        for name, value in environment.items():
            try:
                patch.setenv(name, value)
            except UnicodeEncodeError:  # an environment variable cannot have this value
                return
        try:
            loaded = load_settings()
            if not loaded.is_embedded:
                open_postgresql(loaded)
                return
            Container(settings=loaded).key_ring()
            if environment.keys().isdisjoint(STORAGE):
                loaded.data_dir.mkdir(exist_ok=True)
                shutil.copy(migrated_file, folder / "todo-data" / "todo.db")
            else:
                migrate(loaded)
        except SettingsError as error:
            require_clear_refusal(str(error), environment)
        except (OSError, Unavailable):
            # The command then reports that the folder or the database cannot be used.
            assert not environment.keys().isdisjoint(STORAGE)
        else:
            require_working_service(loaded)


def open_postgresql(loaded: Settings) -> None:
    """Try to connect, which fails because no server listens there."""
    if loaded.migration_dsn != loaded.database_dsn:
        Container(settings=loaded).migration_database().close()
    if urlsplit(loaded.database_dsn).hostname in (None, "127.0.0.1", "localhost", "::1"):
        with pytest.raises(Unavailable):
            Container(settings=loaded).schema().current()
    else:
        Container(settings=loaded).database().close()


def require_clear_refusal(message: str, environment: dict[str, str]) -> None:
    """Require that every line names a variable, and that none repeats a secret."""
    known = set(variable_kinds())
    for line in message.splitlines():
        assert set(re.findall(r"[A-Z][A-Z_]+[A-Z]", line)) & known, line
    variable_part = message
    for wording in WORDING_WITH_URLS:
        variable_part = variable_part.replace(wording, "\n")
    for name in SECRETS & environment.keys():
        if len(environment[name]) > 8:
            assert environment[name] not in variable_part
            assert unquote(environment[name]) not in variable_part


def require_working_service(loaded: Settings) -> None:
    """Send a request of most kinds to the service, and require success."""
    account = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    with running_server(loaded) as server, server.client() as http:
        registered = http.post("/api/auth/register", json=account)
        if loaded.registration == "closed":
            assert registered.status_code == 403
            return
        assert registered.status_code == 201, registered.text
        login = http.post("/api/auth/login", json=account)
        assert login.status_code == 200, login.text
        tokens = login.json()
        if loaded.access_token_ttl.total_seconds() >= SHORTEST_ROUND_SECONDS:
            require_working_tasks(http, tokens["user"]["id"], tokens["access_token"])
        if loaded.refresh_token_ttl.total_seconds() >= SHORTEST_ROUND_SECONDS and (
            loaded.refresh_token_idle_ttl.total_seconds() >= SHORTEST_ROUND_SECONDS
        ):
            refresh = {"refresh_token": tokens["refresh_token"]}
            assert http.post("/api/auth/refresh", json=refresh).status_code == 200
        forgot = http.post("/api/auth/forgot-password", json={"email": account["email"]})
        assert forgot.status_code == 202
        for path in ("/openapi.json", "/docs", "/readyz", "/healthz"):
            assert http.get(path).status_code == 200, path
        require_intact_page(http.get("/docs").text)
        for origin in loaded.cors_origins:
            require_allowed_preflight(http, origin)
        for token in external_tokens(loaded):
            answer = http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200, answer.text


def require_working_tasks(http: httpx.Client, user_id: str, token: str) -> None:
    url, bearer = f"/api/{user_id}/tasks", {"Authorization": f"Bearer {token}"}
    query = {"url_user_id": user_id}
    created = http.post(url, params=query, json={"title": "Buy milk"}, headers=bearer)
    assert created.status_code == 201, created.text
    tasks = http.get(url, params=query, headers=bearer)
    # A limit of one request per minute may be reached by now.
    assert tasks.status_code in (200, 429), tasks.text


def require_intact_page(page: str) -> None:
    """Require that the name of the service is not part of the page's code."""
    assert page.count("<title>") == page.count("</title>") == 1
    assert page.count("<script") == 2


def require_allowed_preflight(http: httpx.Client, origin: str) -> None:
    asked = "https://any.example.com" if origin == "*" else origin
    headers = {"Origin": asked, "Access-Control-Request-Method": "GET"}
    answer = http.options("/api/auth/me", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in (asked, "*")


def external_tokens(loaded: Settings) -> Iterator[str]:
    """Yield a token signed with the secret of Better Auth, if that is set."""
    if loaded.better_auth_secret is None:
        return
    claims: dict[str, object] = {
        "sub": "bob",
        "iat": int(time.time()),
        "exp": time.time() // 1 + 600,
    }
    if loaded.better_auth_issuer is not None and loaded.better_auth_url is None:
        claims["iss"] = loaded.better_auth_issuer
    if loaded.better_auth_audience:
        claims["aud"] = loaded.better_auth_audience[0]
    yield jwt.encode(claims, loaded.better_auth_secret.get_secret_value(), algorithm="HS256")
