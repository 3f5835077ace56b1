"""All settings, read from the environment, from `.env`, and secrets also from files of their own.

.env.example documents all of them; a test checks this.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, override
from urllib.parse import quote, urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from todo_api.settings.external_issuers import ExternalIssuer
from todo_api.settings.secret_files import SecretFileError, SecretFiles
from todo_api.settings.types import (
    MAX_BODY_SIZE,
    BaseUrl,
    CheckInterval,
    CommaSeparated,
    CorsOrigin,
    DatabaseUrl,
    DataDir,
    DrainDelay,
    Label,
    Lifetime,
    Limits,
    ListenAddress,
    Name,
    Page,
    PlainUrl,
    ReminderInterval,
    ResetLifetime,
    Sender,
    SigningSecret,
    SmtpUrl,
    StorageUrl,
    TokenName,
    TrustedNetwork,
    Wait,
    from_json,
    is_same_hmac_key,
    origin_of,
)

PREFIX = "TODO_"

_BETTER_AUTH_PATH = "/api/auth"
BETTER_AUTH = "better-auth"
"""The name under which users of Better Auth are stored."""


class SettingsError(ValueError):
    """The service cannot start with these settings. The message names each wrong variable."""


class Settings(BaseSettings):
    """All settings. The field `log_level` is read from the variable TODO_LOG_LEVEL, and so on."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=False,
    )

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from; an earlier source takes precedence."""
        variables: dict[str, str | None] = {}
        for source in (dotenv_settings, env_settings):
            if isinstance(source, EnvSettingsSource):  # those of `.env` are a subclass of it
                variables |= {name: value for name, value in source.env_vars.items() if value}
        secret_files = SecretFiles(settings_cls, variables)
        return init_settings, env_settings, dotenv_settings, secret_files

    # App
    app_name: Label = "Todo"
    app_version: Label = "0.1.0"
    debug: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    metrics_port: int | None = Field(None, ge=1, le=65535)
    metrics_host: ListenAddress = "127.0.0.1"
    data_dir: DataDir = Path("todo-data")
    cpu_affinity: Literal["auto", "off"] = "auto"
    drain_delay: DrainDelay = timedelta(0)

    # Database
    database_url: DatabaseUrl | None = Field(None, validation_alias="DATABASE_URL")
    migration_database_url: DatabaseUrl | None = None
    database_pool_size: int = Field(10, ge=1, le=100)
    database_pool_timeout: Wait = timedelta(seconds=5)
    database_prepared_statements: Literal["auto", "never"] = "auto"

    # Tokens
    jwt_secret: SigningSecret | None = None
    jwt_previous_secrets: CommaSeparated[SigningSecret] = ()
    jwt_algorithm: Literal["HS256"] = "HS256"
    jwt_issuer: TokenName = "todo"
    jwt_audience: TokenName = "todo"
    access_token_ttl: Lifetime = timedelta(hours=1)
    refresh_token_ttl: Lifetime = timedelta(days=90)
    refresh_token_idle_ttl: Lifetime = timedelta(days=14)
    session_check_interval: CheckInterval = timedelta(seconds=5)
    max_sessions_per_user: int = Field(100, ge=1, le=100_000)

    # Tasks
    max_tasks_per_user: int = Field(100_000, ge=1, le=100_000_000)
    trash_ttl: Lifetime = timedelta(days=30)
    reminder_interval: ReminderInterval = timedelta(seconds=10)
    reminder_emails: bool = True

    # Other issuers
    better_auth_secret: SigningSecret | None = Field(None, validation_alias="BETTER_AUTH_SECRET")
    better_auth_url: BaseUrl | None = Field(None, validation_alias="BETTER_AUTH_URL")
    better_auth_jwks_url: PlainUrl | None = Field(None, validation_alias="BETTER_AUTH_JWKS_URL")
    better_auth_issuer: Name | None = Field(None, validation_alias="BETTER_AUTH_ISSUER")
    better_auth_audience: CommaSeparated[Name] = Field((), validation_alias="BETTER_AUTH_AUDIENCE")
    external_issuers: Annotated[
        tuple[ExternalIssuer, ...], NoDecode, BeforeValidator(from_json)
    ] = ()

    # Accounts
    registration: Literal["open", "closed"] = "open"

    # Passwords
    password_min_length: int = Field(8, ge=8, le=64)
    password_bcrypt_cost: int = Field(12, ge=4, le=16)
    password_hashing_threads: int = Field(2, ge=1, le=32)
    password_reset_ttl: ResetLifetime = timedelta(minutes=10)

    # Mail
    smtp_url: SmtpUrl | None = None
    mail_sender: Sender = "Todo <todo@localhost.localdomain>"
    password_reset_url: Page = "http://localhost:8000/reset-password"  # noqa: S105 - a page

    # Rate limits
    rate_limit_enabled: bool = True
    rate_limit_storage: StorageUrl = SecretStr("memory://")
    limit_login_account: Limits = "5/minute; 20/hour; 50/day"
    limit_login_address: Limits = "60/minute; 600/hour"
    limit_reauthentication: Limits = "5/minute; 20/hour"
    limit_register: Limits = "10/minute; 60/hour"
    limit_forgot_account: Limits = "3/15minutes; 10/day"
    limit_forgot_address: Limits = "10/minute; 60/hour"
    limit_reset_password: Limits = "10/minute; 60/hour"  # noqa: S105 - a limit
    limit_refresh: Limits = "600/minute"
    limit_tasks: Limits = "3000/minute"
    limit_profile: Limits = "300/minute"
    limit_time_zone: Limits = "6/minute; 30/day"
    limit_sessions: Limits = "60/minute"
    limit_export: Limits = "6/minute; 60/day"
    limit_reminder_emails: Limits = "60/hour; 200/day"
    limit_provision_address: Limits = "60/minute; 1000/hour"
    limit_provision_issuer: Limits = "600/minute; 20000/hour"

    # Page
    page_enabled: bool = True

    # API
    cors_origins: CommaSeparated[CorsOrigin] = (
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://localhost:5173",
        "http://127.0.0.1:5173",
    )
    trusted_proxies: CommaSeparated[TrustedNetwork] = ()
    max_body_size: int = Field(64 * 1024, ge=1024, le=MAX_BODY_SIZE)
    require_url_user_id: bool = True
    require_if_match: bool = False
    task_list_envelope: bool = False

    @model_validator(mode="after")
    def _require_jwt_secret(self) -> Self:
        if not self.is_embedded and self.jwt_secret is None:
            raise ValueError(
                f"{PREFIX}JWT_SECRET must be set if DATABASE_URL is set, because all processes must"
                " sign with the same key. Make one with `openssl rand -base64 32`"
            )
        return self

    @model_validator(mode="after")
    def _require_separate_keys(self) -> Self:
        given = [] if self.jwt_secret is None else [self.jwt_secret]
        self.require_separate_keys(
            secret.get_secret_value() for secret in (*given, *self.jwt_previous_secrets)
        )
        return self

    def require_separate_keys(self, signing_secrets: Iterable[str]) -> None:
        """Refuse a secret of Better Auth that is also a signing key of this service.

        The front end, which has that secret, could sign tokens of this service too.

        Raises:
            SettingsError: if the secret is one of the signing keys.
        """
        shared = self.better_auth_secret
        if shared and is_same_hmac_key(shared.get_secret_value(), signing_secrets):
            raise SettingsError(
                f"BETTER_AUTH_SECRET must not be a key of this service ({PREFIX}JWT_SECRET,"
                f" {PREFIX}JWT_PREVIOUS_SECRETS or the file signing-key in {PREFIX}DATA_DIR):"
                " anyone who has it could sign this service's own tokens. Make another one with"
                " `openssl rand -base64 32`."
            )

    @model_validator(mode="after")
    def _limit_access_token_lifetime(self) -> Self:
        if self.access_token_ttl > self.refresh_token_idle_ttl:
            raise ValueError(
                f"{PREFIX}ACCESS_TOKEN_TTL must not be longer than {PREFIX}REFRESH_TOKEN_IDLE_TTL:"
                " an access token would outlive its session"
            )
        return self

    @model_validator(mode="after")
    def _issuers_are_unique(self) -> Self:
        names = [self.jwt_issuer, *(issuer.issuer for issuer in self.published_key_issuers)]
        if self.better_auth_secret is not None and self.better_auth_url is None:
            names.append(self.better_auth_name)
        if BETTER_AUTH in (issuer.issuer for issuer in self.external_issuers):
            names += [BETTER_AUTH, BETTER_AUTH]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{PREFIX}EXTERNAL_ISSUERS, BETTER_AUTH_URL or BETTER_AUTH_ISSUER, and"
                    f" {PREFIX}JWT_ISSUER must differ: {name!r} is the name of more than one issuer"
                )
        return self

    @model_validator(mode="after")
    def _require_better_auth(self) -> Self:
        if self.better_auth_jwks_url and not self.better_auth_url:
            raise ValueError("BETTER_AUTH_JWKS_URL requires BETTER_AUTH_URL. Set it too")
        for name in ("better_auth_issuer", "better_auth_audience"):
            if getattr(self, name) and not (self.better_auth_url or self.better_auth_secret):
                raise ValueError(
                    f"{_variable(name)} requires BETTER_AUTH_URL or BETTER_AUTH_SECRET. Set one of"
                    " them too"
                )
        return self

    @model_validator(mode="after")
    def _require_database_url(self) -> Self:
        if self.database_url is None and self.migration_database_url is not None:
            raise ValueError(
                f"{PREFIX}MIGRATION_DATABASE_URL requires DATABASE_URL, because both must lead to"
                " the same database. Set it too"
            )
        return self

    @property
    def better_auth_name(self) -> str:
        """The `iss` of Better Auth's tokens: its origin by default."""
        if self.better_auth_issuer is not None:
            return self.better_auth_issuer
        return BETTER_AUTH if self.better_auth_url is None else origin_of(self.better_auth_url)

    @property
    def better_auth_audiences(self) -> tuple[str, ...]:
        """The accepted `aud` of Better Auth's tokens: its origin by default."""
        if self.better_auth_audience or self.better_auth_url is None:
            return self.better_auth_audience
        return (origin_of(self.better_auth_url),)

    @property
    def published_key_issuers(self) -> tuple[ExternalIssuer, ...]:
        """All issuers that publish their keys, including Better Auth."""
        if self.better_auth_url is None:
            return self.external_issuers
        # Like Better Auth itself: a URL with a path is the URL of its endpoints.
        path = "" if urlsplit(self.better_auth_url).path else _BETTER_AUTH_PATH
        better_auth = ExternalIssuer(
            issuer=self.better_auth_name,
            jwks_url=self.better_auth_jwks_url or f"{self.better_auth_url}{path}/jwks",
            audience=self.better_auth_audiences,
        )
        return (better_auth, *self.external_issuers)

    def namespace_of(self, issuer: str) -> str:
        """Return the name under which the users of an issuer are stored.

        The name of Better Auth does not depend on its URL or on how it signs, so that its users
        keep their accounts when it moves.
        """
        has_better_auth = self.better_auth_url is not None or self.better_auth_secret is not None
        return BETTER_AUTH if has_better_auth and issuer == self.better_auth_name else issuer

    @property
    def external_namespaces(self) -> frozenset[str]:
        """All names under which users of other issuers are stored."""
        names = {self.namespace_of(each.issuer) for each in self.published_key_issuers}
        return frozenset(names | ({BETTER_AUTH} if self.better_auth_secret else set()))

    @property
    def known_issuers(self) -> tuple[str, ...]:
        """All names that accepted tokens may have as `iss`, this service's own first."""
        better_auth = (self.better_auth_name,) if self.better_auth_secret else ()
        published = (issuer.issuer for issuer in self.published_key_issuers)
        return tuple(dict.fromkeys((self.jwt_issuer, *better_auth, *published)))

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a SQLite file that `todo serve` creates and migrates."""
        return self.database_dsn.startswith("sqlite")

    @property
    def database_dsn(self) -> str:
        """The URL of the database, including its password."""
        if self.database_url is None:
            return f"sqlite:///{quote(str(self.data_dir / 'todo.db'))}"
        return self.database_url.get_secret_value()

    @property
    def migration_dsn(self) -> str:
        """The URL for migrations, which must not lead through a connection pooler."""
        if self.migration_database_url is None:
            return self.database_dsn
        return self.migration_database_url.get_secret_value()


def load_settings() -> Settings:
    """Read the settings from the environment, from `.env`, and from the files that these name.

    Raises:
        SettingsError: if any is missing or wrong; the message names each variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(map(_explain, error.errors()))) from None
    except SecretFileError as error:
        raise SettingsError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file .env cannot be read: {error}.") from None


def _explain(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    sentence = f"{message[0].upper()}{message[1:].removesuffix('.')}."
    if not error["loc"]:
        return sentence
    inside = error["loc"][1:] if len(error["loc"]) > 2 else ()
    where = "".join(f"[{part}]" for part in inside)
    return f"{_variable(str(error['loc'][0]))}{where}: {sentence}"


def _variable(name: str) -> str:
    """Return the environment variable of a field, which an error names itself or by its alias."""
    field = Settings.model_fields.get(name)
    if field is None:
        return name
    return str(field.validation_alias or f"{PREFIX}{name}".upper())
