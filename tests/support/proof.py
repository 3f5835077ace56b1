"""What the proofs tried, and how much of it failed: the table at the end of `pytest -m proof`.

A proof is a test that tries very many things. In the everyday suite it tries a few of
them; with `-m proof` it tries as many as it takes to believe it.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass
class Tally:
    """How many of each kind were tried, and how many failed, by where that was."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    everything: ClassVar["Tally"]

    def note(self, kind: str, where: str, *, tried: int = 1, failed: int = 0) -> None:
        """Count what was tried: a kind such as `operations`, and where, such as `SQLite`."""
        self.tried[kind, where] += tried
        self.failed[kind, where] += failed

    def lines(self) -> list[str]:
        """A table, one line for each kind and place; empty if nothing was tried."""
        if not self.tried:
            return []
        rows = [
            f"{kind:<14}{where:<46}{tried:>10,}{self.failed[kind, where]:>10,}"
            for (kind, where), tried in self.tried.items()
        ]
        return [f"{'what':<14}{'where':<46}{'tried':>10}{'failed':>10}", "-" * 80, *rows]


Tally.everything = Tally()


def note(kind: str, where: str, *, tried: int = 1, failed: int = 0) -> None:
    """Count it in the table of this run."""
    Tally.everything.note(kind, where, tried=tried, failed=failed)
