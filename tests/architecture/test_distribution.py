"""Tests that measure time run after all others, and not at the same time as others."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.distribution import turn

ROOT = Path(__file__).parents[2]

SUITE = """
import time
from pathlib import Path
import pytest

@pytest.fixture(autouse=True)
def recorded(request):
    began = time.monotonic()
    time.sleep(0.02)
    yield
    with Path("times").open("a") as file:
        file.write(f"{request.node.name} {began} {time.monotonic()}\\n")

@pytest.mark.alone
@pytest.mark.parametrize("number", range(6))
def test_alone(number):
    pass

@pytest.mark.parametrize("number", range(60))
def test_shared(number):
    pass
"""


def test_a_turn_alone_waits_for_earlier_turns_and_delays_later_ones(
    tmp_path: Path,
) -> None:
    order: list[str] = []

    def take(name: str, *, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            order.append(name)

    with ThreadPoolExecutor(2) as pool, turn(tmp_path, alone=False):
        pool.submit(take, "alone", alone=True)
        time.sleep(0.1)
        pool.submit(take, "later", alone=False)
        time.sleep(0.1)
        order.append("first")
    assert order == ["first", "alone", "later"]


def test_turns_that_are_not_alone_run_concurrently(tmp_path: Path) -> None:
    with turn(tmp_path, alone=False), turn(tmp_path, alone=False):
        pass


@pytest.mark.slow
def test_a_test_that_is_marked_alone_runs_after_all_others_and_concurrently_with_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = ["-p", "tests.support.distribution", "-p", "no:cacheprovider", "-n", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-o", "markers=alone", "test_suite.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "66 passed" in done.stdout
    lines = [line.split() for line in (tmp_path / "times").read_text().splitlines()]
    times = {name: (float(began), float(ended)) for name, began, ended in lines}
    alone = {name for name in times if name.startswith("test_alone")}
    overlapping = {
        (one, other)
        for one, other in combinations(times, 2)
        if times[one][0] < times[other][1] and times[other][0] < times[one][1]
    }
    assert overlapping, "the others were distributed"
    assert not any(alone & {*pair} for pair in overlapping)
    last_shared = max(began for name, (began, _) in times.items() if name not in alone)
    assert all(last_shared < times[name][0] for name in alone)
