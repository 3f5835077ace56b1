"""The types of settings: how each kind of value is read from text, and which values are refused.

A value is refused here if the service could start with it and would fail later. A message says
what the value must be, without a full stop, and never repeats a value that may hold a password.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from todo_core.ports.tokens import MIN_SECRET_BYTES

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_INVALID_HOST = "has an invalid host or port. If the password has special characters, URL-encode it"
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<v6>[^\[\],]+)\]|(?P<host>[^\[\]:,]+))(?::(?P<port>[0-9]{1,5}))?"
)
_LARGEST_PORT = 65535
_WRITABLE = ("any", "read-write", "primary")
"""What libpq may be told about the server (`target_session_attrs`), which has to accept writes."""

_POSTGRESQL_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators and unpaired surrogates, which no setting needs."""

_IN_URLS = re.compile(r"[^\s\"<>\\^`{|}]+")
"""The characters of a URL (RFC 3986), and those outside ASCII that occur in host names."""

_HOST_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?")
_MAX_URL_LENGTH = 2000

_HMAC_BLOCK_BYTES = 64
"""The block size of SHA-256: a longer key counts as its hash, a shorter one as padded by zeros."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_MAX_LIMITS_LENGTH = 200
_MAX_LIMIT = 1_000_000_000
_MAX_WINDOW_SECONDS = 366 * 24 * 3600

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)

_LONGEST_LIFETIME = timedelta(days=3650)
"""For sessions and tokens: dates computed from it stay far below the year 9999."""

_LONGEST_WAIT = 5 * MINUTE
"""For a free connection: no client waits longer for a response."""

_LONGEST_DRAIN = 5 * MINUTE
"""Before a process stops: the supervisors of processes wait no longer."""

_LONGEST_CHECK_INTERVAL = 60 * MINUTE
"""Between checks for revoked sessions, whose tokens are accepted until the next check."""

MAX_BODY_SIZE = 64 * 1024 * 1024

type Network = IPv4Network | IPv6Network


def _duration(value: object) -> object:
    """Read `90`, in seconds, or a number with a unit: `30s`, `15m`, `1h`, `7d`, `2w`."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,6})([smhdw]?)", value.strip())
    if match is None:
        raise ValueError(
            "must be a number of seconds, or a number with a unit, such as 15m, 1h or 7d"
        )
    number, unit = match.groups()
    return timedelta(**{_UNITS[unit or "s"]: int(number)})


def _between(shortest: timedelta, longest: timedelta) -> Callable[[timedelta], timedelta]:
    """Make a validator that accepts durations from `shortest` to `longest`."""

    def check(duration: timedelta) -> timedelta:
        if not shortest <= duration <= longest:
            raise ValueError(
                f"must be between {_format_duration(shortest)} and {_format_duration(longest)}"
            )
        return duration

    return check


def _format_duration(duration: timedelta) -> str:
    """Format the duration in the largest unit in which it is a whole number, such as `10m`."""
    seconds = int(duration.total_seconds())
    if not seconds:
        return "0s"
    size, unit = max(
        (size, unit)
        for unit, name in _UNITS.items()
        if seconds % (size := int(timedelta(**{name: 1}).total_seconds())) == 0
    )
    return f"{seconds // size}{unit}"


def _comma_separated(value: object) -> object:
    """Split `a, b` into two values."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def from_json(value: object) -> object:
    """Parse JSON text, and return any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError('must be JSON, such as [{"issuer": …}]') from None


def _without_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _token_name(text: str) -> str:
    if not re.fullmatch(r"[!-~](?:[ -~]{0,198}[!-~])?", text):
        raise ValueError("must have 1 to 200 printable ASCII characters")
    return text


def _signing_secret(secret: SecretStr) -> SecretStr:
    """Accept a secret that is long enough, counted in bytes without the zeros that HMAC ignores."""
    if len(secret.get_secret_value().rstrip("\0").encode()) < MIN_SECRET_BYTES:
        raise ValueError(
            f"must have at least {MIN_SECRET_BYTES} bytes. Make one with `openssl rand -base64 32`"
        )
    return secret


def is_same_hmac_key(secret: str, others: Iterable[str]) -> bool:
    """Return whether HMAC-SHA256 (RFC 2104 §2) treats this secret and one of the others alike."""
    return _effective_key(secret) in set(map(_effective_key, others))


def _effective_key(secret: str) -> bytes:
    key = secret.encode()
    if len(key) > _HMAC_BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    return key.rstrip(b"\0")


def _data_dir(folder: Path) -> Path:
    _without_control_characters(str(folder))
    return folder


def _database_url(secret: SecretStr) -> SecretStr:
    """Accept a SQLite file, or a PostgreSQL URL in any spelling, always with psycopg 3.

    The options of the driver are checked when the database is opened.
    """
    text = secret.get_secret_value()
    if _CONTROL.search(text) or _CONTROL.search(unquote(text)):
        raise ValueError("must not contain control characters")
    scheme, _, rest = text.partition("://")
    if scheme in _POSTGRESQL_SCHEMES:
        return SecretStr(_postgresql_url(rest))
    if scheme == "sqlite":
        if not rest.startswith("/") or rest == "/" or ":memory:" in unquote(rest):
            raise ValueError("must name a file, such as sqlite:///folder/todo.db")
        if "?" in rest:
            raise ValueError("must not have parameters. Write a ? in the name of the file as %3F")
        return SecretStr(f"sqlite://{rest}")
    raise ValueError("must begin with postgresql:// (or sqlite:/// and a file's path)")


def _postgresql_url(rest: str) -> str:
    """Return the URL in the spelling of SQLAlchemy, which has several hosts in its query.

    Of several hosts, only one that accepts writes is used, and each is tried for two seconds.
    """
    netloc = re.split("[/?]", rest, maxsplit=1)[0]
    user, at, hosts = netloc.rpartition("@")
    added: dict[str, str] = {}
    if "," in hosts:
        added["host"], added["port"] = _hosts_and_ports(hosts)
        rest = f"{user}{at}{rest.removeprefix(netloc)}"
    url = f"postgresql+psycopg://{rest}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(_INVALID_HOST) from None
    if port == 0:
        raise ValueError("must not have port 0, on which nothing can listen")
    if "@" in parts.path or "#" in rest:
        raise ValueError("has an @, / or # in its password. URL-encode it")
    parameters = parse_qsl(parts.query)
    names = [name for name, _ in parameters if "host" in added or name not in ("host", "port")]
    if len([*names, *added]) != len({*names, *added}):
        raise ValueError("must not have the same parameter twice")
    given = dict(parameters)
    has_several_hosts = "host" in added or "," in ",".join(
        value for name, value in parameters if name == "host"
    )
    wanted = given.get("target_session_attrs", "read-write" if has_several_hosts else "any")
    if wanted not in (("read-write", "primary") if has_several_hosts else _WRITABLE):
        raise ValueError(
            "must have target_session_attrs=read-write, because the service has to write"
        )
    if has_several_hosts:
        defaults = {"target_session_attrs": wanted, "connect_timeout": "2"}
        added |= {name: value for name, value in defaults.items() if name not in given}
    if not added:
        return url
    return f"{url}{'&' if parts.query else '?'}{urlencode(added)}"


def _hosts_and_ports(hosts: str) -> tuple[str, str]:
    """Split `first:5432,second` into the hosts and their ports, each separated by commas."""
    matches = [_HOST_AND_PORT.fullmatch(unquote(each)) for each in hosts.split(",")]
    found = [(match["v6"] or match["host"], match["port"] or "") for match in matches if match]
    if len(found) < len(matches) or any(
        port and not 0 < int(port) <= _LARGEST_PORT for _, port in found
    ):
        raise ValueError(_INVALID_HOST)
    return ",".join(host for host, _ in found), ",".join(port for _, port in found)


def _split_url(text: str, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL with one of these schemes and a valid host, or else None."""
    if len(text) > _MAX_URL_LENGTH or not _IN_URLS.fullmatch(text) or _CONTROL.search(text):
        return None
    try:
        parts = urlsplit(text)
        port, host = parts.port, ascii_host(parts.hostname or "")
    except ValueError:
        return None
    if parts.scheme not in schemes or port == 0 or not host:
        return None
    if _CONTROL.search(unquote(f"{parts.username}{parts.password}{parts.path}{parts.query}")):
        return None
    return parts


def ascii_host(host: str) -> str:
    """Return the host as it is sent: an IP address, or a name in its `xn--` form.

    Raises:
        ValueError: if it is neither.
    """
    if ":" in host:
        return str(IPv6Address(host))
    name = host.encode("idna").decode().lower()
    if not _HOST.fullmatch(name):
        raise ValueError("not a host name")
    if re.fullmatch(r"[0-9.]+", name):
        return str(IPv4Address(name))
    return name


def _smtp_url(secret: SecretStr) -> SecretStr:
    parts = _split_url(secret.get_secret_value(), "smtp", "smtps")
    if parts is None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(
            "must be like smtp://user:password@host:587 or smtps://host:465, with a URL-encoded"
            " password"
        )
    if not unquote(f"{parts.username}{parts.password}").isascii():
        raise ValueError(
            "must have an ASCII user and password, because most servers accept no others"
        )
    return secret


def _storage_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if url == "memory://":
        return secret
    parts = _split_url(url, "redis", "rediss")
    if parts is None or parts.fragment:
        raise ValueError("must be memory:// or redis://host:6379 (Redis or Valkey)")
    if not re.fullmatch(r"/?|/[0-9]{1,5}", parts.path):
        raise ValueError("must end in the number of a database, such as redis://host:6379/0")
    if any(
        not _is_tls_option(*option) for option in parse_qsl(parts.query, keep_blank_values=True)
    ):
        raise ValueError(
            "must have no parameters except ssl_ca_certs=file and ssl_cert_reqs=required, optional"
            " or none"
        )
    if parts.query and parts.scheme != "rediss":
        raise ValueError("must begin with rediss:// if it has parameters for TLS")
    return secret


def _is_tls_option(name: str, value: str) -> bool:
    if name == "ssl_ca_certs":
        return Path(value).is_file()
    return name == "ssl_cert_reqs" and value in ("none", "optional", "required")


def _page(text: str) -> str:
    parts = _split_url(text, "http", "https")
    if parts is None:
        raise ValueError(
            "must be the URL of a page, such as https://app.example.com/reset-password"
        )
    if parts.username is not None:
        raise ValueError("must not contain a user or a password, because it is sent by email")
    return text


def _sender(text: str) -> str:
    """Accept a mailbox that survives a round trip through the `From` header of an email."""
    name, address = parseaddr(text)
    try:
        if _CONTROL.search(text) or "=?" in text or not address.isascii():
            raise ValueError("not a mailbox")
        if not re.fullmatch(r"[^@\s]{1,64}@[^@\s]+", address) or not ascii_host(
            address.rpartition("@")[2]
        ):
            raise ValueError("not an address")
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(name, addr_spec=address)
        written = message.as_bytes()
        if len(text) > 300 or address not in written.decode("ascii"):
            raise ValueError("too long for a header")
    except Exception:  # noqa: BLE001 - the email package raises many kinds for malformed input
        raise ValueError("must be like Todo <todo@example.com>") from None
    return text


def _limits(text: str) -> str:
    if len(text) > _MAX_LIMITS_LENGTH:
        raise ValueError(f"must have at most {_MAX_LIMITS_LENGTH} characters")
    try:
        items = parse_many(text)
    except ValueError:
        raise ValueError("must be limits such as 5/minute; 20/hour") from None
    if re.search(r"(?:/|per)\s*0+\s*[a-z]", text, re.IGNORECASE):
        raise ValueError("must not have a window of 0 seconds")
    for item in items:
        if not 1 <= item.amount <= _MAX_LIMIT:
            raise ValueError(
                f"must allow between 1 and {_MAX_LIMIT:,} requests. To switch off all limits, set"
                " TODO_RATE_LIMIT_ENABLED=false"
            )
        if item.get_expiry() > _MAX_WINDOW_SECONDS:
            raise ValueError("must not have a window of more than a year")
    if len(items) != len(set(items)):
        raise ValueError("must not have the same limit twice")
    return text


def _plain_url(text: str) -> str:
    """Accept a URL without a user, query or fragment, which would be stored or logged."""
    parts = _split_url(text := text.strip(), "http", "https")
    if parts is None:
        raise ValueError("must be a URL, such as https://app.example.com")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a URL without user, query or fragment")
    return text


def _base_url(text: str) -> str:
    return _plain_url(text).rstrip("/")


def origin_of(url: str) -> str:
    """Return scheme, host, and the port if it is not the default one (RFC 6454 §6.1)."""
    parts = urlsplit(url)
    name = ascii_host(parts.hostname or "")
    host = f"[{name}]" if ":" in name else name
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")


def _cors_origin(text: str) -> str:
    """Return the origin as browsers send it: lower case, `xn--`, without the default port."""
    if text == "*":
        return text
    parts = _split_url(text, "http", "https")
    if parts is None or parts.path or parts.query or parts.fragment or parts.username is not None:
        found = "" if "@" in text else f", not {text[:100]!r}"
        raise ValueError(
            f"must be origins without a path, such as https://app.example.com, or * for any{found}"
        )
    return origin_of(text)


_MIN_PROXY_PREFIX = 7
"""The length of the shortest prefix of private addresses: fc00::/7 (RFC 4193)."""


def _trusted_network(text: str) -> Network:
    """Parse an address or a network; an IPv4-mapped IPv6 one means the IPv4 address."""
    found = "" if _CONTROL.search(text) else f", not {text[:100]!r}"
    try:
        if "%" in text:
            raise ValueError("an address with a zone")
        network = ip_network(text if "/" in text else ip_address(text))
    except ValueError:
        raise ValueError(
            "must be IP addresses and networks without host bits, such as 10.0.0.7 or 10.0.0.0/24"
            f"{found}"
        ) from None
    if network.prefixlen < _MIN_PROXY_PREFIX:
        raise ValueError(
            f"must be smaller networks{found}, because clients could choose their own address"
        )
    if isinstance(network, IPv6Network):
        if network.subnet_of(_MAPPED):
            return _trusted_network(f"{network[0].ipv4_mapped}/{network.prefixlen - 96}")
        if network.supernet_of(_MAPPED):
            raise ValueError(
                f"must be smaller networks{found}, which contains all IPv4 addresses in IPv6 form"
            )
    return network


type Label = Annotated[
    str, Field(min_length=1, max_length=100), AfterValidator(_without_control_characters)
]
type TokenName = Annotated[str, AfterValidator(_token_name)]
"""The issuer or the audience of tokens (RFC 7519 §4.1), short enough for a header."""

type Name = Annotated[
    str, Field(min_length=1, max_length=1000), AfterValidator(_without_control_characters)
]
type Duration = Annotated[timedelta, BeforeValidator(_duration)]
type Lifetime = Annotated[Duration, AfterValidator(_between(SECOND, _LONGEST_LIFETIME))]
type ResetLifetime = Annotated[Duration, AfterValidator(_between(MINUTE, 10 * MINUTE))]
type Wait = Annotated[Duration, AfterValidator(_between(SECOND, _LONGEST_WAIT))]
type DrainDelay = Annotated[Duration, AfterValidator(_between(timedelta(), _LONGEST_DRAIN))]
type CheckInterval = Annotated[Duration, AfterValidator(_between(SECOND, _LONGEST_CHECK_INTERVAL))]
type ReminderInterval = Annotated[Duration, AfterValidator(_between(SECOND, 30 * SECOND))]
type CommaSeparated[Item] = Annotated[tuple[Item, ...], NoDecode, BeforeValidator(_comma_separated)]
type SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
type DataDir = Annotated[Path, AfterValidator(_data_dir)]
type BaseUrl = Annotated[str, AfterValidator(_base_url)]
type PlainUrl = Annotated[str, AfterValidator(_plain_url)]
type Page = Annotated[str, AfterValidator(_page)]
type Sender = Annotated[str, AfterValidator(_sender)]
type SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
type StorageUrl = Annotated[SecretStr, AfterValidator(_storage_url)]
type Limits = Annotated[str, AfterValidator(_limits)]
type DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
type CorsOrigin = Annotated[str, AfterValidator(_cors_origin)]
type TrustedNetwork = Annotated[str, AfterValidator(lambda text: str(_trusted_network(text)))]
