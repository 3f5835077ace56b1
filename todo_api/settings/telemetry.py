"""Where telemetry is exported to: the standard variables of OpenTelemetry, `OTEL_…`.

They are read from the environment alone, because the exporters of OpenTelemetry read theirs there.
A wrong value turns the export off, and not the service, as OpenTelemetry specifies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Self
from urllib.parse import unquote, urlsplit

_DEFAULT_ENDPOINT = "http://localhost:4318"
_PROTOCOL = "http/protobuf"
_EXTRA = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

# A value is percent-encoded or not. The exporter refuses ", a semicolon and \ in both forms.
_HEADER = re.compile(r"[!#$&'*+.^_`|~0-9A-Za-z-]+[ \t]*=[ \t]*([ !#-+\--:<-\[\]-~]*)")
_PRINTABLE = re.compile(r"[ -~]*")

type _Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The endpoints to which traces and logs are exported. None turns an export off.

    `problems` are sentences for the operator, about exports that are off although they were
    asked for. They contain no values, because an endpoint may contain a password.
    """

    traces: str | None = None
    logs: str | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables.

        Traces are exported if an endpoint is set. Logs are exported only if an endpoint is set for
        them, or OTEL_LOGS_EXPORTER: not every collector of traces takes logs.
        """
        # An empty variable is like one that is not set.
        variables = {
            name: stripped for name in environment if (stripped := environment[name].strip())
        }
        if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return cls()
        signals = ["TRACES"]
        if not variables.keys().isdisjoint(
            ("OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
        ):
            signals.append("LOGS")
        endpoints: dict[str, str | None] = {}
        problems = []
        for signal in signals:
            try:
                endpoints[signal] = _endpoint(variables, signal)
            except ValueError as error:
                problems.append(str(error))
        if any(endpoints.values()) and not all(map(_is_installed, _EXTRA)):
            return cls(problems=("Install the extra: pip install 'todo[otel]'.",))
        return cls(endpoints.get("TRACES"), endpoints.get("LOGS"), tuple(problems))


def _endpoint(variables: _Variables, signal: str) -> str | None:
    """Return the endpoint of a signal, or None if it is not exported.

    Raises:
        ValueError: with a sentence that names the variable whose value cannot be used.
    """
    exporter = variables.get(f"OTEL_{signal}_EXPORTER", "").lower()
    if exporter == "none":
        return None
    if exporter not in ("", "otlp"):
        raise ValueError(f"OTEL_{signal}_EXPORTER must be otlp or none.")
    name = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    endpoint = variables.get(name)
    if endpoint is None:
        name = "OTEL_EXPORTER_OTLP_ENDPOINT"
        base = variables.get(name, _DEFAULT_ENDPOINT if exporter else None)
        if base is None:
            return None
        endpoint = f"{base.removesuffix('/')}/v1/{signal.lower()}"
    if not _is_url(endpoint):
        raise ValueError(f"{name} must be an http or https URL.")
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if name in variables:
            if variables[name] != _PROTOCOL:
                raise ValueError(f"{name} must be {_PROTOCOL}.")
            break
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        if name in variables:
            if not _are_headers(variables[name]):
                raise ValueError(f"{name} must be name=value, or several separated by commas.")
            break
    return endpoint


def _are_headers(text: str) -> bool:
    """Return whether the exporter can send these headers.

    It logs a header that it cannot parse, and requests reports the value of one that it cannot
    send. Such a header may contain a password, so neither may see it.
    """
    matches = [_HEADER.fullmatch(part.strip()) for part in text.split(",") if part.strip()]
    return all(match and _PRINTABLE.fullmatch(unquote(match[1])) for match in matches)


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package that contains it
        return False
