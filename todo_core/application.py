"""The application: every use case, assembled once from the ports and the operator's policy.

This is the one place where use cases are wired, for the service and for the tests alike, and it
is ordinary Python: the type checker refuses a use case that is given the wrong port.
"""

from dataclasses import dataclass
from datetime import timedelta

from todo_core.entities.user import PasswordPolicy
from todo_core.ports.background import Background
from todo_core.ports.changes import Changes
from todo_core.ports.clock import Clock
from todo_core.ports.cursors import Cursors
from todo_core.ports.devices import DeviceNames
from todo_core.ports.external_issuers import ExternalIssuers, IdentityCache
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import RateLimiter
from todo_core.ports.mail import Mailer
from todo_core.ports.passwords import PasswordHasher
from todo_core.ports.reminders import ReminderRepository
from todo_core.ports.repositories import (
    IdentityRepository,
    KeptResponseRepository,
    PasswordResetRepository,
    RevocationRepository,
    SessionRepository,
    StreamTicketRepository,
    TaskRepository,
    UserRepository,
)
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.security_log import SecurityLog
from todo_core.ports.tokens import AccessTokens, RefreshTokens, SecretTokens
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.accounts import (
    AddUser,
    DeleteAccount,
    ExportAccount,
    GetProfile,
    ReadProfile,
    RegisterUser,
    RemoveAccount,
    UpdateProfile,
)
from todo_core.use_cases.administration import (
    Administration,
    CreateUser,
    DeleteUser,
    DisableUser,
    EnableUser,
    FindUser,
    ListUsers,
    RevokeUserSessions,
    SetPassword,
)
from todo_core.use_cases.authentication import Authenticate, LogIn, Reauthenticate
from todo_core.use_cases.bulk import (
    ChangeMatchingTasks,
    ChangeTasks,
    CompleteMatchingTasks,
    DeleteMatchingTasks,
)
from todo_core.use_cases.cleanup import CleanUp, PurgeDeleted
from todo_core.use_cases.editing import ChangeTask, SaveTask
from todo_core.use_cases.idempotency import WriteOnce
from todo_core.use_cases.identities import ResolveExternalUser
from todo_core.use_cases.live_events import (
    IssueStreamTicket,
    RedeemStreamTicket,
    WatchTasks,
)
from todo_core.use_cases.ordering import MoveTask, ReorderTasks
from todo_core.use_cases.passwords import (
    ChangePassword,
    ForgotPassword,
    ReplacePassword,
    ResetPassword,
)
from todo_core.use_cases.reminders import (
    FireReminders,
    ListFiredReminders,
    SendReminderEmails,
)
from todo_core.use_cases.revocation import RevokeSessions
from todo_core.use_cases.sessions import (
    IssueTokens,
    ListSessions,
    LogOut,
    RefreshSession,
    RevokeOtherSessions,
    RevokeSession,
    StartSession,
)
from todo_core.use_cases.task_changes import ListChanges
from todo_core.use_cases.task_writes import TaskWrites
from todo_core.use_cases.tasks import (
    CountTasks,
    CreateTask,
    GetTask,
    ListTags,
    ListTasks,
    ToggleCompletion,
    UpdateTask,
)
from todo_core.use_cases.time_zones import LocateQuery
from todo_core.use_cases.trash import DeleteTask, PurgeTrash, RestoreTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the application needs from outside: one adapter for each port."""

    users: UserRepository
    sessions: SessionRepository
    revocations: RevocationRepository
    identities: IdentityRepository
    password_resets: PasswordResetRepository
    kept_responses: KeptResponseRepository
    stream_tickets: StreamTicketRepository
    tasks: TaskRepository
    reminders: ReminderRepository
    changes: Changes
    unit_of_work: BeginUnitOfWork
    passwords: PasswordHasher
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    secret_tokens: SecretTokens
    cursors: Cursors
    external_issuers: ExternalIssuers
    identity_cache: IdentityCache
    revoked_sessions: RevokedSessions
    limiter: RateLimiter
    device_names: DeviceNames
    mailer: Mailer
    background: Background
    identifiers: Identifiers
    clock: Clock
    security_log: SecurityLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator decides.

    A session expires `session_lifetime` after its login, or when it was not refreshed for
    `session_idle_lifetime`. `access_token_lifetime` and `external_token_lifetime` are the longest
    lifetimes of our own access tokens and of an external issuer's.
    """

    passwords: PasswordPolicy
    registration_is_open: bool
    session_lifetime: timedelta
    session_idle_lifetime: timedelta
    max_sessions_per_user: int
    access_token_lifetime: timedelta
    external_token_lifetime: timedelta
    password_reset_lifetime: timedelta
    max_tasks_per_user: int
    trash_lifetime: timedelta
    reminder_emails: bool


def assemble_clean_up(
    *,
    users: UserRepository,
    sessions: SessionRepository,
    revocations: RevocationRepository,
    password_resets: PasswordResetRepository,
    kept_responses: KeptResponseRepository,
    stream_tickets: StreamTicketRepository,
    tasks: TaskRepository,
    reminders: ReminderRepository,
    clock: Clock,
    policy: Policy,
) -> CleanUp:
    """Assemble the clean-up by itself. It needs neither keys nor mail nor limits."""
    return CleanUp(
        purge_deleted=PurgeDeleted(users=users, tasks=tasks),
        purge_trash=PurgeTrash(tasks=tasks, clock=clock, max_tasks=policy.max_tasks_per_user),
        sessions=sessions,
        revocations=revocations,
        password_resets=password_resets,
        kept_responses=kept_responses,
        stream_tickets=stream_tickets,
        reminders=reminders,
        idle_lifetime=policy.session_idle_lifetime,
        access_token_lifetime=policy.access_token_lifetime,
        external_token_lifetime=policy.external_token_lifetime,
        clock=clock,
    )


class Application:
    """Every use case of the service, one attribute for each.

    An instance holds no state of its own, and may be used by many threads at once if its adapters
    may.
    """

    def __init__(self, ports: Ports, policy: Policy) -> None:
        # Steps that several use cases share
        reauthenticate = Reauthenticate(
            passwords=ports.passwords, limiter=ports.limiter, security_log=ports.security_log
        )
        revoke_sessions = RevokeSessions(
            sessions=ports.sessions,
            revoked_sessions=ports.revoked_sessions,
            clock=ports.clock,
            security_log=ports.security_log,
        )
        issue_tokens = IssueTokens(
            access_tokens=ports.access_tokens, refresh_tokens=ports.refresh_tokens
        )
        replace_password = ReplacePassword(
            unit_of_work=ports.unit_of_work,
            passwords=ports.passwords,
            policy=policy.passwords,
            revoke_sessions=revoke_sessions,
            mailer=ports.mailer,
            clock=ports.clock,
            security_log=ports.security_log,
        )

        add_user = AddUser(
            users=ports.users,
            passwords=ports.passwords,
            policy=policy.passwords,
            identifiers=ports.identifiers,
            clock=ports.clock,
            security_log=ports.security_log,
        )

        # Accounts
        self.register_user = RegisterUser(
            add_user=add_user, is_open=policy.registration_is_open, limiter=ports.limiter
        )
        self.get_profile = GetProfile(users=ports.users)
        self.read_profile = ReadProfile(get_profile=self.get_profile, limiter=ports.limiter)
        self.update_profile = UpdateProfile(
            get_profile=self.get_profile,
            limiter=ports.limiter,
            unit_of_work=ports.unit_of_work,
            reauthenticate=reauthenticate,
            mailer=ports.mailer,
            changes=ports.changes,
            clock=ports.clock,
            security_log=ports.security_log,
        )
        self.export_account = ExportAccount(
            get_profile=self.get_profile,
            identities=ports.identities,
            sessions=ports.sessions,
            tasks=ports.tasks,
            revoked_sessions=ports.revoked_sessions,
            limiter=ports.limiter,
            security_log=ports.security_log,
        )
        self.purge_deleted = PurgeDeleted(users=ports.users, tasks=ports.tasks)
        remove_account = RemoveAccount(
            unit_of_work=ports.unit_of_work,
            revoke_sessions=revoke_sessions,
            purge_deleted=self.purge_deleted,
            background=ports.background,
            clock=ports.clock,
            security_log=ports.security_log,
        )
        self.delete_account = DeleteAccount(
            get_profile=self.get_profile,
            reauthenticate=reauthenticate,
            remove_account=remove_account,
        )
        self.administration = Administration(
            find_user=FindUser(users=ports.users),
            list_users=ListUsers(users=ports.users),
            create_user=CreateUser(add_user=add_user),
            set_password=SetPassword(users=ports.users, replace_password=replace_password),
            revoke_user_sessions=RevokeUserSessions(
                users=ports.users,
                unit_of_work=ports.unit_of_work,
                revoke_sessions=revoke_sessions,
            ),
            disable_user=DisableUser(
                users=ports.users,
                unit_of_work=ports.unit_of_work,
                revoke_sessions=revoke_sessions,
                clock=ports.clock,
                security_log=ports.security_log,
            ),
            enable_user=EnableUser(
                users=ports.users, clock=ports.clock, security_log=ports.security_log
            ),
            delete_user=DeleteUser(users=ports.users, remove_account=remove_account),
        )

        # Authentication
        self.log_in = LogIn(
            users=ports.users,
            passwords=ports.passwords,
            start_session=StartSession(
                unit_of_work=ports.unit_of_work,
                issue_tokens=issue_tokens,
                revoke_sessions=revoke_sessions,
                refresh_tokens=ports.refresh_tokens,
                device_names=ports.device_names,
                identifiers=ports.identifiers,
                clock=ports.clock,
                security_log=ports.security_log,
                lifetime=policy.session_lifetime,
                max_sessions=policy.max_sessions_per_user,
            ),
            limiter=ports.limiter,
            clock=ports.clock,
            security_log=ports.security_log,
        )
        self.resolve_external_user = ResolveExternalUser(
            users=ports.users,
            identities=ports.identities,
            revocations=ports.revocations,
            unit_of_work=ports.unit_of_work,
            identity_cache=ports.identity_cache,
            revoked_sessions=ports.revoked_sessions,
            limiter=ports.limiter,
            identifiers=ports.identifiers,
            clock=ports.clock,
            security_log=ports.security_log,
        )
        self.authenticate = Authenticate(
            access_tokens=ports.access_tokens,
            revoked_sessions=ports.revoked_sessions,
            external_issuers=ports.external_issuers,
            resolve_external_user=self.resolve_external_user,
            clock=ports.clock,
        )

        # Sessions
        self.refresh_session = RefreshSession(
            sessions=ports.sessions,
            issue_tokens=issue_tokens,
            revoke_sessions=revoke_sessions,
            refresh_tokens=ports.refresh_tokens,
            limiter=ports.limiter,
            clock=ports.clock,
            security_log=ports.security_log,
            idle_lifetime=policy.session_idle_lifetime,
        )
        self.list_sessions = ListSessions(
            sessions=ports.sessions,
            limiter=ports.limiter,
            clock=ports.clock,
            idle_lifetime=policy.session_idle_lifetime,
        )
        self.revoke_session = RevokeSession(revoke_sessions=revoke_sessions, limiter=ports.limiter)
        self.log_out = LogOut(revoke_sessions=revoke_sessions)
        self.revoke_other_sessions = RevokeOtherSessions(
            revoke_sessions=revoke_sessions, limiter=ports.limiter
        )

        # Passwords
        self.change_password = ChangePassword(
            get_profile=self.get_profile,
            reauthenticate=reauthenticate,
            replace_password=replace_password,
        )
        self.forgot_password = ForgotPassword(
            users=ports.users,
            unit_of_work=ports.unit_of_work,
            secret_tokens=ports.secret_tokens,
            limiter=ports.limiter,
            mailer=ports.mailer,
            background=ports.background,
            clock=ports.clock,
            security_log=ports.security_log,
            lifetime=policy.password_reset_lifetime,
        )
        self.reset_password = ResetPassword(
            get_profile=self.get_profile,
            password_resets=ports.password_resets,
            secret_tokens=ports.secret_tokens,
            replace_password=replace_password,
            limiter=ports.limiter,
            clock=ports.clock,
        )

        # Tasks
        locate = LocateQuery(users=ports.users, clock=ports.clock)
        self.list_tasks = ListTasks(
            tasks=ports.tasks, cursors=ports.cursors, limiter=ports.limiter, locate=locate
        )
        self.count_tasks = CountTasks(tasks=ports.tasks, limiter=ports.limiter, clock=ports.clock)
        self.list_tags = ListTags(tasks=ports.tasks, limiter=ports.limiter)
        self.get_task = GetTask(tasks=ports.tasks, limiter=ports.limiter)
        save_task = SaveTask(
            identifiers=ports.identifiers,
            clock=ports.clock,
            max_tasks=policy.max_tasks_per_user,
        )
        change_task = ChangeTask(
            tasks=ports.tasks,
            unit_of_work=ports.unit_of_work,
            changes=ports.changes,
            clock=ports.clock,
            save=save_task,
        )
        self.task_writes = TaskWrites(
            create_task=CreateTask(
                tasks=ports.tasks,
                unit_of_work=ports.unit_of_work,
                limiter=ports.limiter,
                identifiers=ports.identifiers,
                changes=ports.changes,
                clock=ports.clock,
                max_tasks=policy.max_tasks_per_user,
            ),
            update_task=UpdateTask(change=change_task, limiter=ports.limiter),
            toggle_completion=ToggleCompletion(change=change_task, limiter=ports.limiter),
            delete_task=DeleteTask(
                tasks=ports.tasks,
                unit_of_work=ports.unit_of_work,
                limiter=ports.limiter,
                changes=ports.changes,
                clock=ports.clock,
                trash_lifetime=policy.trash_lifetime,
            ),
            restore_task=RestoreTask(
                unit_of_work=ports.unit_of_work,
                limiter=ports.limiter,
                changes=ports.changes,
                clock=ports.clock,
                max_tasks=policy.max_tasks_per_user,
            ),
            move_task=MoveTask(
                unit_of_work=ports.unit_of_work,
                limiter=ports.limiter,
                changes=ports.changes,
                clock=ports.clock,
            ),
            reorder_tasks=ReorderTasks(
                unit_of_work=ports.unit_of_work,
                limiter=ports.limiter,
                changes=ports.changes,
                clock=ports.clock,
            ),
            change_tasks=ChangeTasks(
                save=save_task,
                unit_of_work=ports.unit_of_work,
                limiter=ports.limiter,
                identifiers=ports.identifiers,
                changes=ports.changes,
                clock=ports.clock,
                max_tasks=policy.max_tasks_per_user,
                trash_lifetime=policy.trash_lifetime,
            ),
        )
        self.create_task = self.task_writes.create_task
        self.update_task = self.task_writes.update_task
        self.toggle_completion = self.task_writes.toggle_completion
        self.delete_task = self.task_writes.delete_task
        self.restore_task = self.task_writes.restore_task
        self.move_task = self.task_writes.move_task
        self.reorder_tasks = self.task_writes.reorder_tasks
        self.change_tasks = self.task_writes.change_tasks
        self.write_once = WriteOnce(
            writes=self.task_writes,
            unit_of_work=ports.unit_of_work,
            limiter=ports.limiter,
            changes=ports.changes,
            clock=ports.clock,
        )
        self.list_changes = ListChanges(
            tasks=ports.tasks, cursors=ports.cursors, limiter=ports.limiter
        )
        change_matching = ChangeMatchingTasks(
            tasks=ports.tasks,
            unit_of_work=ports.unit_of_work,
            changes=ports.changes,
            clock=ports.clock,
            locate=locate,
        )
        self.complete_matching_tasks = CompleteMatchingTasks(
            change_matching=change_matching,
            save=save_task,
            limiter=ports.limiter,
            clock=ports.clock,
        )
        self.delete_matching_tasks = DeleteMatchingTasks(
            change_matching=change_matching,
            limiter=ports.limiter,
            clock=ports.clock,
            trash_lifetime=policy.trash_lifetime,
        )

        # Live events
        self.issue_stream_ticket = IssueStreamTicket(
            tickets=ports.stream_tickets,
            sessions=ports.sessions,
            secret_tokens=ports.secret_tokens,
            limiter=ports.limiter,
            clock=ports.clock,
            session_idle_lifetime=policy.session_idle_lifetime,
        )
        self.redeem_stream_ticket = RedeemStreamTicket(
            tickets=ports.stream_tickets,
            secret_tokens=ports.secret_tokens,
            revoked_sessions=ports.revoked_sessions,
            clock=ports.clock,
        )
        self.watch_tasks = WatchTasks(tasks=ports.tasks, limiter=ports.limiter)
        self.list_fired_reminders = ListFiredReminders(reminders=ports.reminders)

        # Background jobs
        self.clean_up = assemble_clean_up(
            users=ports.users,
            sessions=ports.sessions,
            revocations=ports.revocations,
            password_resets=ports.password_resets,
            kept_responses=ports.kept_responses,
            stream_tickets=ports.stream_tickets,
            tasks=ports.tasks,
            reminders=ports.reminders,
            clock=ports.clock,
            policy=policy,
        )
        self.fire_reminders = FireReminders(
            reminders=ports.reminders,
            changes=ports.changes,
            clock=ports.clock,
            with_emails=policy.reminder_emails,
        )
        self.send_reminder_emails = SendReminderEmails(
            reminders=ports.reminders,
            tasks=ports.tasks,
            users=ports.users,
            mailer=ports.mailer,
            limiter=ports.limiter,
            clock=ports.clock,
        )
