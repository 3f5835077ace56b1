"""docs/metrics.md, the dashboard and the alerts name the metrics as they are."""

import json
import re
from pathlib import Path

import pytest

from tests.docs.metrics_page import PAGE, definitions, page

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
USES = [DASHBOARD, ALERTS, DEPLOY / "prometheus" / "alerts_test.yml"]

_SELECTOR = re.compile(r"(todo_[a-z_]+)(?:\{((?:[^{}\"]|\"[^\"]*\")*)\})?")
_OF_PROMETHEUS = {"job", "instance", "le"}


def selectors(text: str) -> set[tuple[str, tuple[str, ...]]]:
    """Return the metrics that are named, each with the labels that are compared."""
    found = set()
    for name, labels in _SELECTOR.findall(text.replace('\\"', '"')):
        found.add((name, tuple(re.findall(r"(\w+)\s*=~?|(?<=[, ])(\w+)!~", labels))))
    return {(name, tuple(a or b for a, b in labels)) for name, labels in found}


def test_the_page_describes_every_metric() -> None:
    assert page(PAGE.read_text()) == PAGE.read_text()


def test_the_names_follow_the_conventions_of_prometheus() -> None:
    for each in definitions():
        assert each.name.startswith("todo_")
        assert each.name.endswith("_total") == (each.type == "counter")
        assert re.fullmatch(r"[A-Z].*\.", each.meaning)
        assert not {"user", "user_id", "task", "email", "address", "job"} & set(each.labels)


@pytest.mark.parametrize("file", USES, ids=lambda file: file.name)
def test_what_is_shipped_names_metrics_and_labels_that_exist(file: Path) -> None:
    known = {each.name: {*each.labels, *_OF_PROMETHEUS} for each in definitions()}
    for each in definitions():
        if each.type == "histogram":
            known |= {f"{each.name}_{end}": known[each.name] for end in ("bucket", "sum", "count")}
    named = selectors(file.read_text())
    assert len({name for name, _ in named}) > 10
    for name, labels in named:
        assert name in known
        assert set(labels) <= known[name], name


def test_every_metric_is_in_the_dashboard_or_in_an_alert() -> None:
    text = DASHBOARD.read_text() + ALERTS.read_text()
    assert [each.name for each in definitions() if each.name not in text] == []


def test_every_alert_is_on_the_page_and_has_two_tests() -> None:
    rules = ALERTS.read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    on_page = re.findall(r"^\| `(Todo\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    severities = re.findall(r"severity: (\w+)\n", rules)
    assert sorted(name for name, _ in on_page) == sorted(names)
    assert dict(on_page) == dict(zip(names, severities, strict=True))
    for key in ("summary", "description", "remedy"):
        assert len(re.findall(rf"^          {key}: ", rules, re.MULTILINE)) == len(names)
    tests = re.findall(
        r"- name: (\w+) (fires|does not fire) ", (DEPLOY / "prometheus/alerts_test.yml").read_text()
    )
    assert sorted(tests) == sorted(
        (name, what) for name in names for what in ("fires", "does not fire")
    )


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        area = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not area & taken, panel["title"]
        assert max(x for x, _ in area) < 24
        taken |= area
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert 'job="$job", instance=~"$instance"' in target["expr"]
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?(\w+)", DASHBOARD.read_text()))
    assert used <= variables
    assert dashboard["id"] is None
