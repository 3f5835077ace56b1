"""Reminders in memory."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from todo_adapters.in_memory.store import FiredReminderRecord, InMemoryStore
from todo_core.entities.fired_reminder import ClaimedEmail, FiredReminder
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone
from todo_core.ports.reminders import ReminderRepository


class InMemoryReminderRepository(ReminderRepository):
    """Reminders in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def due(self, *, now: datetime, limit: int) -> Mapping[UserId, Sequence[TaskId]]:
        found = defaultdict[UserId, list[TaskId]](list)
        with self._store.lock:
            waiting = sorted((moment, *key) for key, moment in self._store.next_reminders.items())
        for moment, owner_id, task_id in waiting[:limit]:
            if moment <= now:
                found[owner_id].append(task_id)
        return found

    def fire(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, now: datetime, with_emails: bool
    ) -> int:
        with self._store.transaction():
            tasks, waiting = self._store.tasks, self._store.next_reminders
            keys = sorted((owner_id, task_id) for task_id in {*task_ids})
            due = [key for key in keys if key in waiting and waiting[key] <= now]
            fired = [
                (owner_id, tasks[key].id, moment)
                for key in due
                if not tasks[key].completed
                for moment in tasks[key].reminders.due(waiting[key], now)
            ]
            if fired:
                if owner_id not in self._store.users:
                    raise AccountGone
                revision = self._store.owner_revisions.get(owner_id, 0) + 1
                self._store.owner_revisions[owner_id] = revision
                for reminder in (FiredReminder(*each, revision) for each in fired):
                    self._store.fired_reminders.setdefault(
                        reminder[:3],
                        FiredReminderRecord(reminder, now, now if with_emails else None),
                    )
            for key in due:
                del waiting[key]
                if (following := tasks[key].next_reminder(now)) is not None:
                    waiting[key] = following
            return len(due)

    def fired_after(self, revisions: Mapping[UserId, int]) -> Sequence[FiredReminder]:
        with self._store.lock:
            fired = [each.reminder for each in self._store.fired_reminders.values()]
        return sorted(
            (
                each
                for each in fired
                if each.owner_id in revisions and each.revision > revisions[each.owner_id]
            ),
            key=lambda each: (each.revision, each.remind_at, each.task_id),
        )

    def claim_emails(
        self, *, now: datetime, until: datetime, latest: datetime, limit: int
    ) -> Sequence[ClaimedEmail]:
        records = self._store.fired_reminders
        with self._store.lock:
            waiting = sorted(
                (each.email_due_at, key)
                for key, each in records.items()
                if each.email_due_at is not None
                and (each.email_due_at <= now or each.email_due_at > latest)
            )
            claimed = []
            for _, key in waiting[:limit]:
                attempts = records[key].attempts + 1
                record = replace(records[key], email_due_at=until, attempts=attempts)
                records[key] = record
                claimed.append(ClaimedEmail(record.reminder, record.fired_at, attempts))
            return claimed

    def settle_email(self, reminder: FiredReminder) -> None:
        self._set_email_due(reminder, None)

    def put_off_email(self, reminder: FiredReminder, *, until: datetime) -> None:
        self._set_email_due(reminder, until)

    def _set_email_due(self, reminder: FiredReminder, moment: datetime | None) -> None:
        with self._store.lock:
            record = self._store.fired_reminders.get(reminder[:3])
            if record is not None and record.email_due_at is not None:
                record = replace(record, email_due_at=moment)
                self._store.fired_reminders[reminder[:3]] = record

    def purge(self, *, fired_before: datetime, limit: int) -> int:
        with self._store.lock:
            old = [
                key
                for key, each in self._store.fired_reminders.items()
                if each.fired_at < fired_before
            ][:limit]
            for key in old:
                del self._store.fired_reminders[key]
            return len(old)
