"""What a process does before it imports anything else."""

import subprocess
import sys

SERVING = """
from todo_api.startup import skip_unused_libraries
skip_unused_libraries()
import sys
import todo_api.app
print(*(name for name in ("rich", "werkzeug", "yaml") if sys.modules.get(name)))
"""


def test_libraries_that_the_service_does_not_use_are_not_imported() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", SERVING], check=True, capture_output=True, text=True
    ).stdout
    assert imported.split() == []
