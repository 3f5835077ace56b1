"""Which variables of OpenTelemetry export what, and where to."""

import pytest
from opentelemetry.util.re import parse_env_headers
from requests.utils import check_header_validity

from todo_api.settings import Telemetry

COLLECTOR = "http://collector:4318"
OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}
TRACES = f"{COLLECTOR}/v1/traces"
LOGS = f"{COLLECTOR}/v1/logs"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Telemetry()),
        (OTLP, Telemetry(TRACES)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{COLLECTOR}/"}, Telemetry(TRACES)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f" {COLLECTOR} "}, Telemetry(TRACES)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, Telemetry()),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{COLLECTOR}/otlp"},
            Telemetry(f"{COLLECTOR}/otlp/v1/traces"),
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://a/b"}, Telemetry("https://a/b")),
        (
            {**OTLP, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://a/b"},
            Telemetry("https://a/b"),
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, Telemetry("http://localhost:4318/v1/traces")),
        ({**OTLP, "OTEL_TRACES_EXPORTER": "OTLP"}, Telemetry(TRACES)),
        ({**OTLP, "OTEL_TRACES_EXPORTER": "none"}, Telemetry()),
        ({**OTLP, "OTEL_LOGS_EXPORTER": "otlp"}, Telemetry(TRACES, LOGS)),
        ({**OTLP, "OTEL_LOGS_EXPORTER": "none"}, Telemetry(TRACES)),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, Telemetry(None, "http://localhost:4318/v1/logs")),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a"}, Telemetry(None, "http://a")),
        ({**OTLP, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a"}, Telemetry(TRACES, "http://a")),
        ({**OTLP, "OTEL_SDK_DISABLED": "true"}, Telemetry()),
        ({**OTLP, "OTEL_SDK_DISABLED": "TRUE"}, Telemetry()),
        ({**OTLP, "OTEL_SDK_DISABLED": "false"}, Telemetry(TRACES)),
        ({**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, Telemetry(TRACES)),
        (
            {
                **OTLP,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            Telemetry(TRACES),
        ),
    ],
)
def test_the_endpoints_are_those_of_the_specification(
    variables: dict[str, str], expected: Telemetry
) -> None:
    assert Telemetry.from_environment(variables) == expected


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER must be otlp or none."),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, "OTEL_TRACES_EXPORTER must be otlp or none."),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "canary:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[canary"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:canary"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "//canary"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ],
)
def test_a_value_that_cannot_be_used_turns_the_export_off_and_is_named(
    variables: dict[str, str], problem: str
) -> None:
    telemetry = Telemetry.from_environment({**OTLP, **variables})
    assert telemetry.traces is None
    assert len(telemetry.problems) == 1
    assert telemetry.problems[0].startswith(problem)
    assert "canary" not in telemetry.problems[0]


def test_a_wrong_value_for_one_signal_leaves_the_other_on() -> None:
    telemetry = Telemetry.from_environment({**OTLP, "OTEL_LOGS_EXPORTER": "console"})
    assert telemetry.traces == TRACES
    assert telemetry.logs is None
    assert telemetry.problems == ("OTEL_LOGS_EXPORTER must be otlp or none.",)


@pytest.mark.parametrize(
    "headers",
    [
        "authorization: Bearer canary",
        "authorization: Bearer canary=",
        "authorization",
        "=canary",
        "a=b,authorization: canary",
        "a=canary;b=c",
        'a="canary"',
        "a=canary\\",
        "a=canary\nb",
        "a=cänary",
        "a=canary%0d%0ab",
        "a=canary%E2%82%AC",
        "a%3A%20b=canary",
    ],
)
@pytest.mark.parametrize("signal", ["", "TRACES_"])
def test_headers_that_cannot_be_sent_turn_the_export_off_and_are_not_shown(
    headers: str, signal: str
) -> None:
    name = f"OTEL_EXPORTER_OTLP_{signal}HEADERS"
    telemetry = Telemetry.from_environment({**OTLP, name: headers})
    problem = f"{name} must be name=value, or several separated by commas."
    assert telemetry == Telemetry(problems=(problem,))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("authorization=Bearer%20secret", {"authorization": "Bearer secret"}),
        ("authorization=Bearer secret==", {"authorization": "Bearer secret=="}),
        ("a=b, c = d ,", {"a": "b", "c": "d"}),
        ("a=", {"a": ""}),
        ("x-token=!#$&'()*+-./:<>?@[]^_`{|}~", {"x-token": "!#$&'()*+-./:<>?@[]^_`{|}~"}),
    ],
)
def test_headers_that_can_be_sent_are_those_that_the_exporter_parses(
    headers: str, expected: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    variables = {**OTLP, "OTEL_EXPORTER_OTLP_HEADERS": headers}
    assert Telemetry.from_environment(variables) == Telemetry(TRACES)
    parsed = parse_env_headers(headers, liberal=True)
    assert parsed == expected
    for header in parsed.items():
        check_header_validity(header)
    assert caplog.records == []


def test_wrong_headers_for_the_log_leave_the_traces_on() -> None:
    variables = {
        **OTLP,
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "authorization: canary",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret",
    }
    telemetry = Telemetry.from_environment(variables)
    assert (telemetry.traces, telemetry.logs) == (TRACES, None)
    assert "OTEL_EXPORTER_OTLP_LOGS_HEADERS" in telemetry.problems[0]
