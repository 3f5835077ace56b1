"""Tasks that were last changed before there were revisions are listed as changes too."""

from sqlmodel import col, delete, update

from tests.support.storages import storage_of
from tests.support.tasks import all_tasks
from tests.sync.replica import Replica
from todo_adapters.sql.tables import TaskOwnerRow, TaskRow
from todo_api.container import Container


def test_a_replica_has_the_tasks_of_an_owner_who_has_not_written_since_owners_have_rows(
    container: Container,
) -> None:
    application, tasks = container.application(), storage_of(container).tasks
    ada = application.register_user(
        name="Ada", email="ada@example.com", password="a rather long sentence"
    ).id
    for number in range(20):
        application.create_task(owner_id=ada, title=f"Task {number}")
    with container.database().engine.begin() as connection:  # as the migrations leave them
        connection.execute(delete(TaskOwnerRow))
        connection.execute(update(TaskRow).values(revision=col(TaskRow.revision) - 21))
    replica = Replica(application, ada, seed=1)
    replica.drain()
    stored = all_tasks(tasks, ada)
    assert dict(replica.tasks) == {task.id: task for task in stored}
    application.update_task(owner_id=ada, task_id=stored[0].id, title="Buy milk")
    application.delete_task(owner_id=ada, task_id=stored[1].id)
    replica.drain()
    assert dict(replica.tasks) == {task.id: task for task in all_tasks(tasks, ada)}
    assert replica.changes == 22
