"""The parts of the benchmark, and what they measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.benchmarks.footprint import ColdStart, Memory
from tests.benchmarks.half_load import HalfLoad
from tests.benchmarks.results import Results
from tests.benchmarks.scale import Scale


class Part(StrEnum):
    """A part of the benchmark, which can be run alone."""

    COLD_START = "cold-start"
    MEMORY = "memory"
    HALF_LOAD = "half-load"
    SQLITE_PINNED = "sqlite-pinned"
    SQLITE_UNPINNED = "sqlite-unpinned"
    POSTGRESQL_PINNED = "postgresql-pinned"
    POSTGRESQL_UNPINNED = "postgresql-unpinned"
    SCALE_SQLITE = "scale-sqlite"
    SCALE_POSTGRESQL = "scale-postgresql"


COMPARISONS = {
    Part.SQLITE_PINNED: "SQLite, pinned",
    Part.SQLITE_UNPINNED: "SQLite, unpinned",
    Part.POSTGRESQL_PINNED: "PostgreSQL, pinned",
    Part.POSTGRESQL_UNPINNED: "PostgreSQL, unpinned",
}
"""The parts that compare contenders, with their titles."""

SCALES = {Part.SCALE_SQLITE: "SQLite", Part.SCALE_POSTGRESQL: "PostgreSQL"}
"""The parts that compare sizes of a database, with the names of the databases."""


@dataclass(slots=True)
class Outcome:
    """What has been measured so far."""

    cold_start: ColdStart | None = None
    memory: Memory | None = None
    half_load: Sequence[HalfLoad] = ()
    comparisons: dict[Part, Results] = field(default_factory=dict)
    scales: dict[Part, Scale] = field(default_factory=dict)
