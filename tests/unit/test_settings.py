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
    ],
)
def test_those_that_do_not_fit_together_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable} "):
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
