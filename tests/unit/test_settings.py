"""Settings, and the messages about invalid ones."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import make_url
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from todo_api.container import Container
from todo_api.server.options import server_options
from todo_api.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[2]
SECRET = "a secret that is thirty-two bytes"
POSTGRESQL = "postgresql://todo:pw@db.example.com/todo"


def variables() -> set[str]:
    """Return the environment variables of all settings."""
    return {
        str(info.validation_alias or f"TODO_{name}".upper())
        for name, info in Settings.model_fields.items()
    }


def test_without_settings_the_service_is_embedded() -> None:
    settings = load_settings()
    assert settings.is_embedded
    assert settings.database_dsn == "sqlite:///todo-data/todo.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_postgresql_scheme_selects_psycopg(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(
        "DATABASE_URL", f"{scheme}://todo:pw@db.example.com:5433/todo?sslmode=require"
    )
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    dsn = "postgresql+psycopg://todo:pw@db.example.com:5433/todo?sslmode=require"
    assert load_settings().database_dsn == dsn
    assert load_settings().migration_dsn == dsn


def test_migrations_may_have_a_url_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", POSTGRESQL)
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    monkeypatch.setenv("TODO_MIGRATION_DATABASE_URL", "postgres://direct.example.com/todo")
    assert load_settings().migration_dsn == "postgresql+psycopg://direct.example.com/todo"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", timedelta(seconds=90)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_duration_is_a_number_with_an_optional_unit(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: timedelta
) -> None:
    monkeypatch.setenv("TODO_ACCESS_TOKEN_TTL", text)
    assert load_settings().access_token_ttl == expected


def test_a_duration_out_of_bounds_is_refused_with_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TODO_DRAIN_DELAY", "301s")
    with pytest.raises(SettingsError, match="TODO_DRAIN_DELAY: Must be between 0s and 5m"):
        load_settings()
    monkeypatch.setenv("TODO_DRAIN_DELAY", "0")
    assert load_settings().drain_delay == timedelta(0)


def test_settings_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TODO_CORS_ORIGINS=https://a.example, https://b.example\n")
    assert load_settings().cors_origins == ("https://a.example", "https://b.example")


def test_an_empty_variable_is_treated_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().is_embedded


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://db.example.com/todo"),
        ("DATABASE_URL", "db.example.com"),
        ("DATABASE_URL", "postgresql://todo:p@ss:word@db:port/todo"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("TODO_MIGRATION_DATABASE_URL", "mysql://db.example.com/todo"),
        ("TODO_DATABASE_POOL_SIZE", "0"),
        ("TODO_DATABASE_POOL_SIZE", "many"),
        ("TODO_DEBUG", "perhaps"),
        ("TODO_LOG_LEVEL", "loud"),
        ("TODO_LOG_FORMAT", "xml"),
        ("TODO_JWT_SECRET", "a" * 31),
        ("TODO_JWT_PREVIOUS_SECRETS", "a" * 31),
        ("TODO_JWT_ALGORITHM", "none"),
        ("TODO_ACCESS_TOKEN_TTL", "0"),
        ("TODO_ACCESS_TOKEN_TTL", "-5m"),
        ("TODO_ACCESS_TOKEN_TTL", "soon"),
        ("BETTER_AUTH_SECRET", "a" * 31),
        ("BETTER_AUTH_URL", "app.example.com"),
        ("BETTER_AUTH_URL", "https://app.example.com:port"),
        ("BETTER_AUTH_URL", "https://app.example.com?a=b"),
        ("BETTER_AUTH_URL", "https://user:password@app.example.com"),
        ("TODO_PASSWORD_MIN_LENGTH", "7"),
        ("TODO_CORS_ORIGINS", "https://a.example/path"),
        ("TODO_CORS_ORIGINS", "a.example"),
        ("TODO_MAX_BODY_SIZE", "12"),
        ("TODO_SMTP_URL", "smtp://host:abc"),
        ("TODO_SMTP_URL", "mail.example.com"),
        ("TODO_MAIL_SENDER", "nonsense"),
        ("TODO_PASSWORD_RESET_URL", "nonsense"),
        ("TODO_PASSWORD_RESET_TTL", "11m"),
        ("TODO_RATE_LIMIT_STORAGE", "redis://host:abc"),
        ("TODO_RATE_LIMIT_STORAGE", "memcached://host"),
        ("TODO_LIMIT_TASKS", "many"),
        ("TODO_LIMIT_TASKS", "0/minute"),
        ("TODO_LIMIT_TASKS", "-1/minute"),
        ("TODO_LIMIT_TASKS", "5/0minutes"),
        ("TODO_LIMIT_TASKS", "5/9999999999days"),
        ("TODO_LIMIT_TASKS", "9999999999/minute"),
        ("TODO_LIMIT_TASKS", "5/minute; 5/1minute"),
        ("TODO_LIMIT_TASKS", "; ".join(f"{n}/hour" for n in range(1, 100))),
        ("TODO_ACCESS_TOKEN_TTL", "999999w"),
        ("TODO_REFRESH_TOKEN_TTL", "999999w"),
        ("TODO_REFRESH_TOKEN_IDLE_TTL", "999999w"),
        ("TODO_PASSWORD_RESET_TTL", "30s"),
        ("TODO_SESSION_CHECK_INTERVAL", "2h"),
        ("TODO_DATABASE_POOL_TIMEOUT", "6m"),
        ("TODO_DATABASE_POOL_SIZE", "101"),
        ("TODO_MAX_BODY_SIZE", "99999999999999999999"),
        ("TODO_APP_NAME", "Todo\a"),
        ("TODO_APP_VERSION", "1\n2"),
        ("TODO_DATA_DIR", "todo\ndata"),
        ("TODO_JWT_ISSUER", "t" * 201),
        ("TODO_JWT_AUDIENCE", "für alle"),
        ("TODO_SMTP_URL", "smtp://user:pa/ss@mail.example.com"),
        ("TODO_SMTP_URL", "smtp://mail.example.com:0"),
        ("TODO_SMTP_URL", "smtp://mail..example.com"),
        ("TODO_MAIL_SENDER", "Todo <todo@example.com>\nBcc: eve@example.com"),
        ("TODO_MAIL_SENDER", "=?utf-8?q?x?= <todo@example.com>"),
        ("TODO_MAIL_SENDER", "Todo <töd@example.com>"),
        ("TODO_MAIL_SENDER", "Todo <todo@->"),
        ("TODO_PASSWORD_RESET_URL", "https://app.example.com/reset\nBcc: eve@example.com"),
        ("TODO_PASSWORD_RESET_URL", "https://user:password@app.example.com/reset"),
        ("TODO_PASSWORD_RESET_URL", "https://app.example.com:99999"),
        ("TODO_RATE_LIMIT_STORAGE", "redis://host:6379/first"),
        ("TODO_RATE_LIMIT_STORAGE", "redis://host:6379/-1"),
        ("TODO_RATE_LIMIT_STORAGE", "redis://host:6379?unknown=1"),
        ("TODO_RATE_LIMIT_STORAGE", "redis://host:6379?socket_timeout=long"),
        ("BETTER_AUTH_URL", "https://app..example.com"),
        ("BETTER_AUTH_URL", "https://" + "a" * 64 + ".example"),
        ("BETTER_AUTH_URL", "https://app.example.com:0"),
        ("DATABASE_URL", "sqlite://todo.db"),
        ("DATABASE_URL", "sqlite:///todo.db?timeout=long"),
        ("DATABASE_URL", "postgresql://todo:p%00w@db.example.com/todo"),
        ("DATABASE_URL", "postgresql://todo:p/w@db.example.com/todo"),
        ("DATABASE_URL", "postgresql://todo:pw@db.example.com:0/todo"),
        ("DATABASE_URL", "postgresql://db.example.com/todo?sslmode=require&sslmode=prefer"),
        ("DATABASE_URL", "postgresql://todo:pw@first:0,second/todo"),
        ("DATABASE_URL", "postgresql://todo:pw@first:70000,second/todo"),
        ("DATABASE_URL", "postgresql://todo:pw@first,/todo"),
        ("DATABASE_URL", "postgresql://todo:p/w@first,second/todo"),
        ("DATABASE_URL", "postgresql://todo:pw@first,second/todo?host=third"),
        ("DATABASE_URL", "postgresql://todo:pw@first,second/todo?target_session_attrs=any"),
        ("DATABASE_URL", "postgresql://todo:pw@first/todo?target_session_attrs=standby"),
        ("TODO_DRAIN_DELAY", "301s"),
        ("TODO_CORS_ORIGINS", "null"),
        ("TODO_CORS_ORIGINS", "https://a.example/"),
        ("TODO_CORS_ORIGINS", "https://*.example"),
        ("TODO_CORS_ORIGINS", "https://user:password@a.example"),
        ("TODO_CORS_ORIGINS", "https://a.example:99999"),
    ],
)
def test_an_invalid_setting_is_named_without_repeating_a_secret_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(f"{variable}: ")
    assert "\n" not in str(error.value)
    if "SECRET" in variable or "@" in value:
        assert value not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "proxy.example.com",
        "10.0.0.300",
        "10.0.0.1/24",
        "10.0.0.0/33",
        "fe80::1%eth0",
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
        "::ffff:0:0/97",
        "::/64",
        "0.0.0.0/1, 128.0.0.0/1",
        "8000::/1",
        "unix:",
        "10.0.0.1, *",
        "10.0.0.1:80",
        "010.0.0.1",
    ],
)
def test_a_trusted_proxy_that_is_no_address_or_network_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TODO_TRUSTED_PROXIES", value)
    with pytest.raises(SettingsError, match=r"^TODO_TRUSTED_PROXIES"):
        load_settings()


def test_an_ipv4_mapped_trusted_proxy_counts_as_its_ipv4_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "TODO_TRUSTED_PROXIES", "::ffff:10.0.0.1, ::ffff:10.1.0.0/112, 2001:DB8::/32"
    )
    assert load_settings().trusted_proxies == ("10.0.0.1/32", "10.1.0.0/16", "2001:db8::/32")


@pytest.mark.parametrize(
    ("trusted", "peer", "is_trusted"),
    [
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "::ffff:10.0.0.7", True),
        ("10.0.0.7", "::ffff:10.0.0.8", False),
        ("10.0.0.0/24", "::ffff:10.0.0.99", True),
        ("10.0.0.0/24", "::ffff:10.0.1.99", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("2001:db8::/32", "::ffff:10.0.0.7", False),
    ],
)
def test_a_proxy_is_trusted_on_a_dual_stack_socket_too(
    monkeypatch: pytest.MonkeyPatch, trusted: str, peer: str, is_trusted: bool
) -> None:
    monkeypatch.setenv("TODO_TRUSTED_PROXIES", trusted)
    options = server_options(load_settings())
    clients = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:  # types of ASGI
        clients.append(scope["client"][0])

    behind_proxy = ProxyHeadersMiddleware(app, options["forwarded_allow_ips"])
    forwarded = [(b"x-forwarded-for", b"192.0.2.1, 10.0.0.7"), (b"x-forwarded-proto", b"https")]
    scope: Any = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": forwarded}
    nothing: Any = None
    anyio.run(behind_proxy, scope, nothing, nothing)
    if not is_trusted:
        assert clients == [peer]
    else:
        assert clients == ["192.0.2.1" if trusted.startswith("10.") else "10.0.0.7"]


@pytest.mark.parametrize(
    ("given", "sent_by_browsers"),
    [
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("*", "*"),
    ],
)
def test_a_cors_origin_is_compared_in_the_form_that_browsers_send(
    monkeypatch: pytest.MonkeyPatch, given: str, sent_by_browsers: str
) -> None:
    monkeypatch.setenv("TODO_CORS_ORIGINS", given)
    assert load_settings().cors_origins == (sent_by_browsers,)


LONG_SECRET = "a secret that is longer than one block of SHA-256 and that HMAC hashes first"


@pytest.mark.parametrize("variable", ["TODO_JWT_SECRET", "TODO_JWT_PREVIOUS_SECRETS"])
@pytest.mark.parametrize(
    ("shared", "own"),
    [(SECRET, SECRET), (SECRET, f"{SECRET}\0\0"), (LONG_SECRET, LONG_SECRET)],
    ids=["the same", "padded as HMAC does", "longer than a block"],
)
def test_the_secret_of_better_auth_cannot_be_a_signing_key(
    tmp_path: Path, variable: str, shared: str, own: str
) -> None:
    other = "another secret that is long enough to sign"
    values = {"TODO_JWT_SECRET": other, variable: f"{own}"}
    # A file, since an environment variable cannot hold a zero byte.
    lines = [f"BETTER_AUTH_SECRET={shared}", *(f"{name}={text}" for name, text in values.items())]
    (tmp_path / ".env").write_text("\n".join(lines))
    with pytest.raises(SettingsError, match=r"^BETTER_AUTH_SECRET ") as error:
        load_settings()
    assert shared not in str(error.value)


def test_the_secret_of_better_auth_cannot_be_the_embedded_signing_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "todo-data").mkdir()
    key = tmp_path / "todo-data" / "signing-key"
    key.touch(0o600)
    key.write_text(f"{SECRET}\n")
    monkeypatch.setenv("BETTER_AUTH_SECRET", SECRET)
    container = Container(settings=load_settings())
    with pytest.raises(SettingsError, match=r"^BETTER_AUTH_SECRET "):
        container.key_ring()


def test_a_database_parameter_that_the_driver_does_not_know_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{POSTGRESQL}?sslmod=require")
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    container = Container(settings=load_settings())
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: has a parameter"):
        container.database()


@pytest.mark.parametrize("folder", ["what?", "100%41", "a#b", "ü", "a b"])
def test_the_embedded_database_is_in_the_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    monkeypatch.setenv("TODO_DATA_DIR", folder)
    container = Container(settings=load_settings())
    assert container.schema().current() is None
    container.database().close()
    assert (tmp_path / folder / "todo.db").exists()


def test_an_env_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"TODO_APP_NAME=\xfcber\n")
    with pytest.raises(SettingsError, match=r"^The file \.env cannot be read"):
        load_settings()


def test_postgresql_needs_a_secret_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", POSTGRESQL)
    with pytest.raises(SettingsError, match=r"^TODO_JWT_SECRET must be set"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TODO_ACCESS_TOKEN_TTL", "60d"),
        ("TODO_MIGRATION_DATABASE_URL", POSTGRESQL),
        ("BETTER_AUTH_ISSUER", "https://app.example.com"),
        ("BETTER_AUTH_AUDIENCE", "https://api.example.com"),
        ("BETTER_AUTH_JWKS_URL", "http://frontend:3000/api/auth/jwks"),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable} "):
        load_settings()


@pytest.mark.parametrize(
    ("url", "issuer", "keys"),
    [
        ("https://App.example.com", "https://app.example.com", "https://App.example.com"),
        ("https://app.example.com/", "https://app.example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com", "https://app.example.com:443"),
        ("http://localhost:3000", "http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]", "http://[::1]:80"),
        (" https://app.example.com ", "https://app.example.com", "https://app.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "https://bücher.example"),
    ],
)
def test_the_issuer_and_keys_of_better_auth_follow_from_its_url(
    monkeypatch: pytest.MonkeyPatch, url: str, issuer: str, keys: str
) -> None:
    monkeypatch.setenv("BETTER_AUTH_URL", url)
    [better_auth] = load_settings().published_key_issuers
    assert better_auth.issuer == issuer
    assert better_auth.audiences == (issuer,)
    assert better_auth.jwks_url == f"{keys}/api/auth/jwks"


@pytest.mark.parametrize("url", ["http://localhost:3000/api/auth", "https://example.com/app/"])
def test_a_better_auth_url_with_a_path_is_the_base_of_its_endpoints(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("BETTER_AUTH_URL", url)
    [better_auth] = load_settings().published_key_issuers
    assert better_auth.jwks_url == url.rstrip("/") + "/jwks"


@pytest.mark.parametrize(
    "settings",
    [
        {"BETTER_AUTH_SECRET": SECRET},
        {"BETTER_AUTH_URL": "https://app.example.com"},
        {"BETTER_AUTH_URL": "https://moved.example.com", "BETTER_AUTH_SECRET": SECRET},
        {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_ISSUER": "https://app.example.com"},
    ],
)
def test_users_of_better_auth_have_one_namespace_for_all_ways_to_configure_it(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    loaded = load_settings()
    assert loaded.external_namespaces == {"better-auth"}
    assert loaded.namespace_of(loaded.better_auth_name) == "better-auth"


def test_the_derived_settings_of_better_auth_can_be_overridden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BETTER_AUTH_URL", "https://app.example.com")
    monkeypatch.setenv("BETTER_AUTH_JWKS_URL", "http://frontend:3000/keys")
    monkeypatch.setenv("BETTER_AUTH_ISSUER", "https://auth.example.com")
    monkeypatch.setenv("BETTER_AUTH_AUDIENCE", "https://api.example.com, todo-api")
    [better_auth] = load_settings().published_key_issuers
    assert better_auth.issuer == "https://auth.example.com"
    assert better_auth.audiences == ("https://api.example.com", "todo-api")
    assert better_auth.jwks_url == "http://frontend:3000/keys"


BETTER_AUTH = '{"issuer": "better-auth", "jwks_url": "http://a.example.com", "audience": "a"}'
ISSUER = '{"issuer": "https://a.example.com/", "jwks_url": "https://a.example.com/keys/"'


def test_external_issuers_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "TODO_EXTERNAL_ISSUERS",
        f'[{ISSUER}, "audience": "api"}},'
        ' {"issuer": "b", "jwks_url": "http://b:80/keys", "audience": null,'
        ' "algorithms": ["RS256"]}]',
    )
    first, second = load_settings().external_issuers
    assert first.jwks_url == "https://a.example.com/keys/"
    assert (first.issuer, first.audiences) == ("https://a.example.com/", ("api",))
    assert first.algorithms == ("EdDSA", "ES256", "RS256")
    assert (second.audiences, second.algorithms) == ((), ("RS256",))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (f"[{ISSUER}}}]", "[0][audience]"),
        (f'[{ISSUER}, "audience": "api", "algorithms": ["HS256"]}}]', "[0][algorithms]"),
        (f'[{ISSUER}, "audience": "api", "algorithms": ["none"]}}]', "[0][algorithms]"),
        (f'[{ISSUER}, "audience": "api", "algorithms": []}}]', "[0][algorithms]"),
        (f'[{ISSUER}, "audience": "api", "secret": "x"}}]', "[0][secret]"),
        ('[{"issuer": "a", "jwks_url": "file:///etc/keys", "audience": "api"}]', "[0][jwks_url]"),
        (f'[{ISSUER}, "audience": ""}}]', "[0][audience]"),
        (f'[{ISSUER}, "audience": []}}]', "[0][audience]"),
        (f'[{ISSUER}, "audience": ["a", ""]}}]', "[0][audience]"),
        ("not JSON", ""),
    ],
)
def test_an_invalid_external_issuer_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, where: str
) -> None:
    monkeypatch.setenv("TODO_EXTERNAL_ISSUERS", value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(f"TODO_EXTERNAL_ISSUERS{where}")


@pytest.mark.parametrize(
    "settings",
    [
        {"TODO_EXTERNAL_ISSUERS": f'[{ISSUER}, "audience": "a"}}, {ISSUER}, "audience": "b"}}]'},
        {
            "TODO_JWT_ISSUER": "https://app.example.com",
            "BETTER_AUTH_URL": "https://app.example.com",
        },
        {"TODO_JWT_ISSUER": "better-auth", "BETTER_AUTH_SECRET": SECRET},
        {"TODO_EXTERNAL_ISSUERS": f"[{BETTER_AUTH}]"},
    ],
)
def test_two_issuers_with_the_same_name_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match="the name of more than one issuer"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://todo:p%40w@first:5432,second:5433/todo?sslmode=require",
            {"host": "first,second", "port": "5432,5433", "sslmode": "require"},
        ),
        ("postgres://todo:p%40w@first,second:5433/todo", {"host": "first,second", "port": ",5433"}),
        (
            "postgresql://todo:p%40w@[::1]:5432,[fe80::2%25eth0]:1/todo",
            {"host": "::1,fe80::2%eth0", "port": "5432,1"},
        ),
        (
            "postgresql://todo:p%40w@/todo?host=first:1&host=second:2",
            {"host": "first,second", "port": "1,2"},
        ),
        (
            "postgresql://todo:p%40w@a,b/todo?connect_timeout=4&target_session_attrs=primary",
            {"host": "a,b", "connect_timeout": "4", "target_session_attrs": "primary"},
        ),
    ],
)
def test_of_several_hosts_of_a_database_one_that_accepts_writes_is_used(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: dict[str, str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    read = make_url(load_settings().database_dsn)
    _, parameters = read.get_dialect()().create_connect_args(read)
    assert parameters == {
        "user": "todo",
        "password": "p@w",
        "dbname": "todo",
        "port": ",",
        "connect_timeout": "2",
        "target_session_attrs": "read-write",
        **expected,
    }


def test_all_invalid_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TODO_LOG_LEVEL", "loud")
    monkeypatch.setenv("TODO_DEBUG", "perhaps")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert len(str(error.value).splitlines()) == 2


def test_secret_settings_are_not_shown_by_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://todo:hush@db.example.com/todo")
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    assert "hush" not in repr(load_settings())
    assert SECRET not in repr(load_settings())


@pytest.mark.parametrize("document", [".env.example", "docs/settings.md"])
def test_every_setting_is_documented_and_no_other(document: str) -> None:
    text = (ROOT / document).read_text()
    mentioned = set(re.findall(r"\b(?:(?:TODO|BETTER_AUTH)_[A-Z_]+[A-Z]|DATABASE_URL)\b", text))
    assert variables() <= mentioned
    files = {f"{variable}_FILE" for variable in variables()}
    assert mentioned - variables() - files <= {"TEST_DATABASE_URL"}


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    shown = re.findall(r"^#(TODO_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in shown))
    assert len(shown) > 10
    defaults = Settings(_env_file=None)
    assert load_settings().model_dump() == defaults.model_dump()
