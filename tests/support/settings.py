"""Settings for services in tests, with and without a migrated database."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from tests.support.postgres import create_database, drop_database
from todo_api.container import Container
from todo_api.settings import Settings

SECRET = "a secret of the tests, which is long enough"


def embedded_settings(folder: Path) -> Settings:
    """Return the settings of an embedded service that keeps its data in this folder."""
    return Settings(data_dir=folder / "todo-data", password_bcrypt_cost=4, rate_limit_enabled=False)


def postgres_settings(url: str) -> Settings:
    """Return the settings of a service on this PostgreSQL database."""
    return Settings(
        database_url=SecretStr(url),
        jwt_secret=SecretStr(SECRET),
        password_bcrypt_cost=4,
        rate_limit_enabled=False,
    )


def environment_on(database_url: str) -> dict[str, str]:
    """Return the environment of `todo serve` on this PostgreSQL database, without rate limits."""
    return {
        "DATABASE_URL": database_url,
        "TODO_JWT_SECRET": SECRET,
        "TODO_RATE_LIMIT_ENABLED": "false",
    }


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Settings]:
    """Yield the settings of a service on a new and migrated database in this folder."""
    settings = embedded_settings(folder)
    migrate(settings)
    yield settings


@contextmanager
def on_postgresql(postgres_url: str, template: str) -> Iterator[Settings]:
    """Yield the settings of a service on a new and migrated database of this server."""
    url = create_database(postgres_url, template=template)
    yield postgres_settings(url)
    drop_database(url)


def migrate(settings: Settings) -> None:
    """Migrate the database of these settings to the newest schema.

    A new database in the data folder is copied from one that was migrated before.
    """
    file = settings.data_dir / "todo.db"
    if settings.database_url is None and not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(_migrated_file())
    else:
        _migrate(settings)


@cache
def _migrated_file() -> bytes:
    with TemporaryDirectory(prefix="todo-migrated-") as folder:
        settings = embedded_settings(Path(folder))
        _migrate(settings)
        return (settings.data_dir / "todo.db").read_bytes()


def _migrate(settings: Settings) -> None:
    container = Container(settings=settings)
    container.migration_schema().migrate()
    container.migration_database().close()
