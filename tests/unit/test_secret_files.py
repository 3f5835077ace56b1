"""Secrets that are read from files."""

from pathlib import Path

import pytest

from tests.docs.settings_page import variable_of
from todo_api.settings import Settings, SettingsError, load_settings
from todo_api.settings.secret_files import secret_fields

SECRET = "a secret that is thirty-two bytes"
OTHER = "another secret of thirty-two bytes"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that TODO_JWT_SECRET_FILE names."""
    file = tmp_path / "jwt-secret"
    monkeypatch.setenv("TODO_JWT_SECRET_FILE", str(file))
    return file


def jwt_secret() -> str:
    secret = load_settings().jwt_secret
    assert secret is not None
    return secret.get_secret_value()


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_is_read_from_its_file_without_line_breaks_at_the_end(
    file: Path, end: str
) -> None:
    file.write_bytes(f"{SECRET}{end}".encode())
    assert jwt_secret() == SECRET


def test_other_white_space_is_part_of_a_secret(file: Path) -> None:
    file.write_text(f" {SECRET} \n")
    assert jwt_secret() == f" {SECRET} "


def test_every_secret_can_be_read_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "DATABASE_URL": "postgresql+psycopg://todo:pw@db.example.com/todo",
        "TODO_MIGRATION_DATABASE_URL": "postgresql+psycopg://owner:pw@db.example.com/todo",
        "TODO_JWT_SECRET": SECRET,
        "TODO_JWT_PREVIOUS_SECRETS": f"{OTHER} 1,{OTHER} 2",
        "BETTER_AUTH_SECRET": f"{OTHER} 3",
        "TODO_SMTP_URL": "smtp://user:pw@mail.example.com:587",
        "TODO_RATE_LIMIT_STORAGE": "redis://:pw@limits.example.com:6379",
    }
    for variable, value in values.items():
        (tmp_path / variable).write_text(f"{value}\n")
        monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / variable))
    settings = load_settings()
    for name in secret_fields(Settings):
        value = getattr(settings, name)
        secrets = value if isinstance(value, tuple) else (value,)
        given = values.pop(variable_of(name, Settings.model_fields[name]))
        assert ",".join(secret.get_secret_value() for secret in secrets) == given
    assert values == {}


def test_the_name_of_a_file_can_be_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / ".env").write_text("TODO_JWT_SECRET_FILE=secret\n")
    assert jwt_secret() == SECRET


def test_an_empty_name_of_a_file_is_treated_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TODO_JWT_SECRET_FILE", "")
    assert load_settings().jwt_secret is None


def test_an_empty_variable_beside_the_name_of_a_file_is_treated_as_unset(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(SECRET)
    monkeypatch.setenv("TODO_JWT_SECRET", "")
    assert jwt_secret() == SECRET


def test_a_secret_from_a_file_is_validated(file: Path) -> None:
    file.write_text("short")
    assert refusal().startswith("TODO_JWT_SECRET: Must have at least 32 bytes.")


def test_settings_that_are_not_secret_are_not_read_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "name").write_text("Other")
    monkeypatch.setenv("TODO_APP_NAME_FILE", str(tmp_path / "name"))
    assert load_settings().app_name == "Todo"


@pytest.mark.parametrize("where", ["environment", "env file"])
def test_a_secret_that_is_given_in_both_ways_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    file.write_text(SECRET)
    if where == "environment":
        monkeypatch.setenv("TODO_JWT_SECRET", OTHER)
    else:
        (tmp_path / ".env").write_text(f"TODO_JWT_SECRET='{OTHER}'\n")
    message = "TODO_JWT_SECRET and TODO_JWT_SECRET_FILE must not both be set. Unset one of them."
    assert refusal() == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty."),
        (b"\n", "The file is empty."),
        (b"\xff" * 40, "The file is not text in UTF-8."),
        (b"a" * 65_537, "The file has more than 65,536 bytes."),
    ],
)
def test_a_file_without_a_secret_is_refused(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    assert refusal() == f"TODO_JWT_SECRET_FILE: {message}"


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    assert refusal() == (
        "TODO_JWT_SECRET_FILE: The file cannot be read: No such file or directory."
    )
    file.mkdir()
    assert refusal() == "TODO_JWT_SECRET_FILE: The file cannot be read: Is a directory."


def test_all_files_that_cannot_be_used_are_named_at_once(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.touch()
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "missing"))
    assert [line.partition(":")[0] for line in refusal().splitlines()] == [
        "DATABASE_URL_FILE",
        "TODO_JWT_SECRET_FILE",
    ]
