"""Counting what proofs try and how much of it fails, for the table that `pytest -m proof` prints.

A proof is a test that tries very many things. The default suite tries a few of them, and
`-m proof` tries enough to be convincing.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass
class Tally:
    """How many things of each kind were tried and how many failed, by place."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    current: ClassVar["Tally"]

    def note(self, kind: str, where: str, *, tried: int = 1, failed: int = 0) -> None:
        """Count what was tried, by a kind such as `operations` and a place such as `SQLite`."""
        self.tried[kind, where] += tried
        self.failed[kind, where] += failed

    def lines(self) -> list[str]:
        """Return a table with one line for each kind and place, or nothing if nothing was tried."""
        if not self.tried:
            return []
        rows = [
            f"{kind:<14}{where:<46}{tried:>10,}{self.failed[kind, where]:>10,}"
            for (kind, where), tried in self.tried.items()
        ]
        return [f"{'what':<14}{'where':<46}{'tried':>10}{'failed':>10}", "-" * 80, *rows]


Tally.current = Tally()


def note(kind: str, where: str, *, tried: int = 1, failed: int = 0) -> None:
    """Count what was tried in the table of this run."""
    Tally.current.note(kind, where, tried=tried, failed=failed)
