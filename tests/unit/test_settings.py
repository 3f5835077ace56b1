"""Settings, and what is said of wrong ones."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from todo_api.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[2]
SECRET = "a secret that is thirty-two bytes"
POSTGRESQL = "postgresql://todo:pw@db.example.com/todo"


def variables() -> set[str]:
    """The environment variables of all settings."""
    return {
        str(info.validation_alias or f"TODO_{name}".upper())
        for name, info in Settings.model_fields.items()
    }


def test_without_any_it_is_embedded() -> None:
    settings = load_settings()
    assert settings.is_embedded
    assert settings.database_dsn == "sqlite:///todo-data/todo.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_means_psycopg(
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
def test_a_duration_has_a_unit(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: timedelta
) -> None:
    monkeypatch.setenv("TODO_ACCESS_TOKEN_TTL", text)
    assert load_settings().access_token_ttl == expected


def test_they_are_read_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TODO_CORS_ORIGINS=https://a.example, https://b.example\n")
    assert load_settings().cors_origins == ("https://a.example", "https://b.example")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
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
    ],
)
def test_a_wrong_one_is_named_and_not_repeated_where_it_is_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(f"{variable}: ")
    assert "\n" not in str(error.value)
    if "SECRET" in variable or "@" in value:
        assert value not in str(error.value)


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
def test_those_that_do_not_fit_together_are_named(
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
def test_better_auth_is_its_origin_and_has_its_keys_below_its_address(
    monkeypatch: pytest.MonkeyPatch, url: str, issuer: str, keys: str
) -> None:
    monkeypatch.setenv("BETTER_AUTH_URL", url)
    [better_auth] = load_settings().published_key_issuers
    assert better_auth.issuer == issuer
    assert better_auth.audiences == (issuer,)
    assert better_auth.jwks_url == f"{keys}/api/auth/jwks"


@pytest.mark.parametrize("url", ["http://localhost:3000/api/auth", "https://example.com/app/"])
def test_an_address_with_a_path_is_that_of_its_endpoints(
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
def test_people_of_better_auth_stay_the_same_however_it_is_set(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    loaded = load_settings()
    assert loaded.people_issuers == {"better-auth"}
    assert loaded.known_as(loaded.better_auth_name) == "better-auth"


def test_each_of_these_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_further_issuers_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_wrong_issuer_is_named(monkeypatch: pytest.MonkeyPatch, value: str, where: str) -> None:
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
def test_no_two_issuers_have_one_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match="the name of more than one issuer"):
        load_settings()


def test_all_wrong_ones_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TODO_LOG_LEVEL", "loud")
    monkeypatch.setenv("TODO_DEBUG", "perhaps")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert len(str(error.value).splitlines()) == 2


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://todo:hush@db.example.com/todo")
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    assert "hush" not in repr(load_settings())
    assert SECRET not in repr(load_settings())


@pytest.mark.parametrize("document", [".env.example", "README.md"])
def test_every_setting_is_documented_and_no_other(document: str) -> None:
    text = (ROOT / document).read_text()
    mentioned = set(re.findall(r"\b(?:(?:TODO|BETTER_AUTH)_[A-Z_]+[A-Z]|DATABASE_URL)\b", text))
    assert variables() <= mentioned
    assert mentioned - variables() <= {"TEST_DATABASE_URL"}


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    shown = re.findall(r"^#(TODO_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in shown))
    assert len(shown) > 10
    defaults = Settings(_env_file=None)
    assert load_settings().model_dump() == defaults.model_dump()
