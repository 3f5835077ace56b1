"""Which variables of OpenTelemetry export what, and where to."""

import pytest

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
