"""What a process does before it imports anything else."""

import subprocess
import sys

SERVING = """
from todo_api.startup import skip_unused_libraries
skip_unused_libraries()
import sys
import todo_api.app
print(*(name for name, module in sys.modules.items() if module))
"""
UNUSED = {
    "alembic",
    "cryptography.hazmat",
    "greenlet",
    "psycopg",
    "pydantic.v1",
    "rich",
    "sqlalchemy.dialects.postgresql",  # without a database, as with SQLite
    "werkzeug",
    "yaml",
}


def test_libraries_that_the_service_does_not_use_are_not_imported() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", SERVING], check=True, capture_output=True, text=True
    ).stdout
    assert not UNUSED & set(imported.split())
