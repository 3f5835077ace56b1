"""`todo downgrade` goes back to the schema of an earlier release, with all data, and back again."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, inspect, select

from tests.support.command import todo
from tests.support.migrations import MIGRATIONS
from tests.support.settings import embedded_settings, environment_on, migrate, postgres_settings
from todo_adapters.sql.schema import NEWEST_REVISION, SqlSchema
from todo_api.container import Container
from todo_core.entities.identity import Identity
from todo_core.entities.user import UserId

type Rows = Mapping[str, list[dict[str, Any]]]

PASSWORD = "a rather long sentence"
TITLES = ["Buy milk", "Straße", "Buy oats"]


@pytest.fixture(params=["sqlite", "postgresql"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Container:
    """A service on a migrated database, of each kind in turn."""
    if request.param == "sqlite":
        settings = embedded_settings(tmp_path)
    else:
        settings = postgres_settings(request.getfixturevalue("empty_postgres"))
    migrate(settings)
    return Container(settings=settings)


@pytest.fixture
def environment(container: Container) -> Mapping[str, str]:
    """The environment of a command on the same database."""
    settings = container.settings()
    if settings.is_embedded:
        return {"TODO_DATA_DIR": str(settings.data_dir)}
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    return environment_on(url.replace("postgresql+psycopg:", "postgresql:"))


def with_data(container: Container) -> UserId:
    """Store a row in as many tables as possible, and return the owner of the tasks."""
    application = container.application()
    owner = application.register_user(name="Ada", email="ada@example.com", password=PASSWORD).id
    application.log_in(email="ada@example.com", password=PASSWORD, user_agent="", address="")
    now = datetime.now(UTC)
    identity = Identity.claimed(issuer="a", subject="x", name="Bob", email=None, issued_at=now)
    application.resolve_external_user(identity)
    first, *_ = [application.create_task(owner_id=owner, title=title) for title in TITLES]
    deleted = application.create_task(owner_id=owner, title="in the trash")
    application.delete_task(owner_id=owner, task_id=deleted.id)
    application.toggle_completion(owner_id=owner, task_id=first.id, completed=True)
    due = (now + timedelta(days=1)).isoformat()
    application.update_task(
        owner_id=owner,
        task_id=first.id,
        due_date=due,
        reminders=[{"minutes_before": 15}],
        tags=["Home"],
        priority="high",
    )
    return owner


def rows(container: Container) -> Rows:
    """Return all rows of all tables but that of the revision, and release the database."""
    with container.database().engine.connect() as connection:
        found = {
            name: sorted(
                (
                    dict(row)
                    for row in connection.execute(
                        select(Table(name, MetaData(), autoload_with=connection))
                    ).mappings()
                ),
                key=repr,
            )
            for name in inspect(connection).get_table_names()
            if name != "alembic_version"
        }
    container.database().close()
    return found


def common(kept: Rows, all_rows: Rows) -> Rows:
    """Return of these rows the tables and columns that the others have too."""
    columns = {name: set().union(*kept[name]) for name in kept}
    return {
        name: sorted(
            ({key: row[key] for key in row if key in columns[name]} for row in some), key=repr
        )
        for name, some in all_rows.items()
        if name in kept
    }


def revisions(container: Container) -> list[str]:
    return [each.id for each in SqlSchema(container.database(), MIGRATIONS).history()]


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_all_data_survives_a_downgrade_by_one_version_and_the_way_back(
    container: Container, environment: Mapping[str, str], tmp_path: Path
) -> None:
    owner = with_data(container)
    before = rows(container)
    outcome = todo(tmp_path, "downgrade", "--yes", **environment)
    assert outcome.returncode == 0, outcome.stderr
    previous = revisions(container)[-2]
    assert f"From revision {NEWEST_REVISION} back to {previous}." in outcome.stderr
    assert f"\n  {NEWEST_REVISION}  " in outcome.stderr
    assert container.schema().current() == previous
    downgraded = rows(container)
    assert sum(map(len, downgraded.values())) >= 8
    assert downgraded == common(downgraded, before)
    outcome = todo(tmp_path, "migrate", **environment)
    assert outcome.returncode == 0, outcome.stderr
    assert common(downgraded, rows(container)) == downgraded
    again = Container(settings=container.settings())
    tasks = again.application().list_tasks(owner_id=owner).tasks
    assert sorted(task.title for task in tasks) == sorted(TITLES)
    assert again.application().create_task(owner_id=owner, title="after it").version == 1
    again.application().log_in(
        email="ada@example.com", password=PASSWORD, user_agent="", address=""
    )
    again.database().close()


def test_a_downgrade_asks_before_it_changes_anything(
    container: Container, environment: Mapping[str, str], tmp_path: Path
) -> None:
    outcome = todo(tmp_path, "downgrade", **environment)  # nobody answers
    assert outcome.returncode == 1
    assert "Is there a backup, and is the service stopped?" in outcome.stderr
    assert container.schema().current() == NEWEST_REVISION
    container.database().close()


def test_a_downgrade_goes_back_to_the_named_revision(
    container: Container, environment: Mapping[str, str], tmp_path: Path
) -> None:
    target, *reverted = revisions(container)[-4:]
    container.database().close()
    outcome = todo(tmp_path, "downgrade", target, "--yes", **environment)
    assert outcome.returncode == 0, outcome.stderr
    listed = [line.split()[0] for line in outcome.stderr.splitlines() if line.startswith("  ")]
    assert listed == reverted[::-1]
    assert outcome.stderr.endswith(f"Schema   at revision {target}\n")
    assert container.schema().current() == target
    container.database().close()


@pytest.mark.parametrize("revision", [NEWEST_REVISION, "9999", "base", "-1"])
def test_a_revision_that_is_not_an_earlier_one_is_refused(tmp_path: Path, revision: str) -> None:
    migrate(embedded_settings(tmp_path))
    outcome = todo(tmp_path, "downgrade", "--yes", "--", revision)
    assert outcome.returncode == 1
    assert f"there is no revision {revision} before {NEWEST_REVISION}." in outcome.stderr


def test_a_database_without_a_schema_cannot_be_downgraded(tmp_path: Path) -> None:
    outcome = todo(tmp_path, "downgrade", "--yes")
    assert outcome.returncode == 1
    assert outcome.stderr == "The database cannot be downgraded: it was never migrated.\n"
