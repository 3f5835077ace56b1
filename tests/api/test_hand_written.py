"""The endpoints that the benchmark compares the service with return the same tasks."""

import subprocess
import sys
from pathlib import Path

from todo_api.http.schemas.tasks import TaskResponse

ROOT = Path(__file__).parents[2]
FIELDS = """
from datetime import UTC, datetime
from uuid import UUID
from tests.benchmarks.applications.hand_written import task
now = datetime.now(UTC)
print(*task(UUID(int=1), 1, "Buy milk", None, False, now, now, 1))
"""


def test_the_hand_written_endpoints_return_every_field_of_a_task(tmp_path: Path) -> None:
    """In a process of its own, as they change how sqlite3 stores values."""
    printed = subprocess.run(
        [sys.executable, "-c", FIELDS],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.split() == list(TaskResponse.model_fields)
