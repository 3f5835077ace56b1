"""Responses that wait are told every change of their owner's tasks, and only of theirs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from starlette.requests import ClientDisconnect

from todo_adapters.in_memory.changes import InMemoryChanges
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.in_memory.reminders import InMemoryReminderRepository
from todo_adapters.in_memory.revoked_sessions import InMemoryRevokedSessions
from todo_adapters.in_memory.store import FiredReminderRecord, InMemoryStore
from todo_adapters.in_memory.tasks import InMemoryTaskRepository
from todo_api.http.event_streams import EventStream
from todo_api.http.long_polls import LongPoll
from todo_api.http.watchers import MAX_WATCHERS_PER_USER, Watcher, Watchers
from todo_core.entities.caller import Caller
from todo_core.entities.fired_reminder import FiredReminder
from todo_core.entities.session import SessionId
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId
from todo_core.errors import Unavailable


@dataclass
class Owners:
    """Owners whose tasks change, and the watchers of a process."""

    store: InMemoryStore = field(default_factory=InMemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)
    revoked_sessions: InMemoryRevokedSessions = field(default_factory=InMemoryRevokedSessions)

    def __post_init__(self) -> None:
        self.changes = InMemoryChanges(InMemoryTaskRepository(self.store))
        self.lookups: list[Mapping[UserId, int]] = []
        self.is_down = False
        self.watchers = Watchers(
            self.changes,
            self._list_fired_reminders,
            self.revoked_sessions,
            self.clock,
            session_check_seconds=60,
        )

    def caller(self) -> Caller:
        """Return a new user, in a session of an hour."""
        expires_at = self.clock.now() + timedelta(hours=1)
        return Caller(UserId(uuid4()), SessionId(uuid4()), expires_at=expires_at)

    def _list_fired_reminders(self, revisions: Mapping[UserId, int]) -> Sequence[FiredReminder]:
        self.lookups.append(revisions)
        if self.is_down:
            raise Unavailable("database")
        return InMemoryReminderRepository(self.store).fired_after(revisions)

    def fire(self, owner_id: UserId) -> FiredReminder:
        """Fire a reminder of this owner at the next revision."""
        revision = self.store.owner_revisions.get(owner_id, 0) + 1
        self.store.owner_revisions[owner_id] = revision
        fired = reminder(owner_id, revision)
        self.store.fired_reminders[fired[:3]] = FiredReminderRecord(fired, fired.remind_at, None)
        return fired

    async def change(self, owner_id: UserId) -> None:
        """Change a task of this owner, and let the watchers know."""
        self.store.owner_revisions[owner_id] = self.store.owner_revisions.get(owner_id, 0) + 1
        self.changes.publish(owner_id)
        await asyncio.sleep(0)


def test_a_watcher_is_told_what_changed_after_its_revision_was_read() -> None:
    async def scenario() -> None:
        owners = Owners()
        ada, bob = owners.caller(), owners.caller()
        first, second, of_bob = (Watcher(each, revision=0) for each in (ada, ada, bob))
        await owners.change(ada.user_id)
        assert owners.watchers.add(first)
        assert owners.watchers.add(of_bob)
        await asyncio.sleep(0)
        assert first.revision == 1, "the first watcher of an owner is told the present revision"
        assert owners.watchers.add(second)
        assert second.revision == 1, "another one begins with what the first was told"
        await owners.change(ada.user_id)
        assert (first.revision, second.revision, of_bob.revision) == (2, 2, 0)

    asyncio.run(scenario())


def test_a_stream_that_opens_during_a_change_sends_it_although_another_stream_had_it() -> None:
    async def scenario() -> None:
        owners = Owners()
        ada = owners.caller()
        owners.watchers.add(EventStream(ada, revision=0, told=None))
        late = EventStream(ada, revision=0, told=0)
        await owners.change(ada.user_id)
        owners.watchers.add(late)
        assert b"id: 1\n" in late.beginning()

    asyncio.run(scenario())


def test_of_one_user_ten_wait_and_the_others_are_not_counted() -> None:
    async def scenario() -> None:
        owners = Owners()
        ada, bob = owners.caller(), owners.caller()
        waiting = [Watcher(ada, revision=0) for _ in range(MAX_WATCHERS_PER_USER)]
        assert all(map(owners.watchers.add, waiting))
        assert not owners.watchers.add(Watcher(ada, revision=0))
        assert owners.watchers.add(Watcher(bob, revision=0))
        owners.watchers.remove(waiting[0])
        assert owners.watchers.add(Watcher(ada, revision=0))

    asyncio.run(scenario())


def test_a_session_is_valid_until_it_is_revoked_or_expires() -> None:
    async def scenario() -> None:
        owners = Owners()
        ada, bob = owners.caller(), owners.caller()
        of_ada, of_bob = Watcher(ada, revision=0), Watcher(bob, revision=0)
        assert owners.watchers.has_valid_session(of_ada)
        owners.revoked_sessions.add([ada.session_id])
        assert not owners.watchers.has_valid_session(of_ada)
        assert owners.watchers.has_valid_session(of_bob)
        owners.clock.advance(timedelta(hours=1))
        assert not owners.watchers.has_valid_session(of_bob)

    asyncio.run(scenario())


def test_a_long_poll_is_changed_once_by_each_newer_revision() -> None:
    async def scenario() -> None:
        poll = LongPoll(Owners().caller(), revision=5)
        waiting = asyncio.ensure_future(poll.is_changed())
        for known in (4, 5):  # what was read before the answer may be told after it
            poll.tell(known)
            await asyncio.sleep(0.01)
            assert not waiting.done()
        poll.tell(6)
        assert await waiting
        again = asyncio.ensure_future(poll.is_changed())
        await asyncio.sleep(0.01)
        assert not again.done()
        poll.end()
        assert not await again
        poll.tell(7)
        assert await poll.is_changed(), "a change at the last moment is reported"
        poll.leave()
        with pytest.raises(ClientDisconnect):
            await poll.is_changed()

    asyncio.run(scenario())


def test_a_watcher_that_is_added_while_the_service_stops_is_done_at_once() -> None:
    async def scenario() -> None:
        owners = Owners()
        before, after = (Watcher(owners.caller(), revision=0) for _ in range(2))
        owners.watchers.add(before)
        owners.watchers.end_all()
        owners.watchers.add(after)
        assert before.is_done
        assert after.is_done

    asyncio.run(scenario())


def reminder(owner_id: UserId, revision: int) -> FiredReminder:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=revision)
    return FiredReminder(owner_id, TaskId(1), moment, revision)


def told_by(content: bytes | None) -> list[str]:
    """Return the id of each reminder in what a stream sends, and the revision of each hint."""
    blocks = (content or b"").decode().strip().split("\n\n")
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [
        json.loads(each["data"])["id"] if each["event"] == "reminder" else each["id"]
        for each in fields
        if "event" in each
    ]


class TestReminders:
    def test_a_reminder_is_told_to_the_streams_of_its_owner_before_its_revision(self) -> None:
        async def scenario() -> None:
            owners = Owners()
            ada, bob = owners.caller(), owners.caller()
            streams = [EventStream(each, revision=0, told=None) for each in (ada, ada, bob)]
            for stream in streams:
                owners.watchers.add(stream)
                stream.begin([])
                assert told_by(stream.beginning()) == ["0"]
            fired = owners.fire(ada.user_id)
            await owners.change(ada.user_id)
            await owners.change(bob.user_id)
            for stream in streams[:2]:
                assert told_by(await stream.next()) == [str(fired.id), "2"]
            assert told_by(await streams[2].next()) == ["1"]

        asyncio.run(scenario())

    def test_only_new_revisions_are_looked_up(self) -> None:
        async def scenario() -> None:
            owners = Owners()
            ada = owners.caller()
            owners.store.owner_revisions[ada.user_id] = 3
            owners.watchers.add(EventStream(ada, revision=3, told=None))
            await asyncio.sleep(0)
            assert owners.lookups == [{}]
            await owners.change(ada.user_id)
            await owners.change(ada.user_id)
            assert owners.lookups == [{}, {ada.user_id: 3}, {ada.user_id: 4}]

        asyncio.run(scenario())

    def test_what_is_fired_while_a_stream_opens_is_told_once(self) -> None:
        async def scenario() -> None:
            owners = Owners()
            ada = owners.caller()
            missed, early, both, late = (reminder(ada.user_id, number) for number in (4, 6, 5, 7))
            stream = EventStream(ada, revision=4, told=3)
            assert stream.reminded == 3
            stream.remind([both, early])
            stream.tell(6)
            stream.begin([missed, both])
            stream.remind([early])
            stream.remind([late])
            expected = [str(each.id) for each in (missed, both, early, late)]
            assert told_by(stream.beginning()) == [*expected, "7"]

        asyncio.run(scenario())

    def test_a_reminder_that_is_found_with_an_older_revision_is_told_with_its_own(self) -> None:
        async def scenario() -> None:
            ada = Owners().caller()
            stream = EventStream(ada, revision=0, told=0)
            stream.begin([])
            fired = reminder(ada.user_id, 2)
            stream.remind([fired])
            stream.tell(1)
            assert told_by(stream.beginning()) == [str(fired.id), "2"]
            stream.remind([fired])
            stream.tell(2)
            assert told_by(stream.beginning()) == []

        asyncio.run(scenario())

    @pytest.mark.parametrize("told", [None, 5])
    def test_a_client_that_knows_no_revision_of_ours_has_missed_nothing(
        self, told: int | None
    ) -> None:
        async def scenario() -> None:
            assert EventStream(Owners().caller(), revision=4, told=told).reminded == 4

        asyncio.run(scenario())

    def test_a_failed_lookup_tells_nothing(self) -> None:
        async def scenario() -> None:
            owners = Owners()
            ada = owners.caller()
            stream = EventStream(ada, revision=0, told=0)
            owners.watchers.add(stream)
            stream.begin([])
            fired = owners.fire(ada.user_id)
            owners.is_down = True
            with pytest.raises(Unavailable):
                await owners.change(ada.user_id)
            await asyncio.sleep(0)
            assert told_by(stream.beginning()) == []
            owners.is_down = False
            await owners.change(ada.user_id)
            assert told_by(await stream.next()) == [str(fired.id), "3"]

        asyncio.run(scenario())
