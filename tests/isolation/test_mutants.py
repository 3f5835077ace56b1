"""The isolation tests detect every mutant of the code that isolates users."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.isolation.mutants import Mutant, copied, mutants, survives
from tests.support.proof import note

ALL = list(mutants())
WORKERS = 2


def test_mutants_are_many_distinct_and_valid_python() -> None:
    assert len(ALL) >= 40
    assert len({(mutant.file, mutant.source) for mutant in ALL}) == len(ALL)
    for mutant in ALL:
        compile(mutant.source, mutant.file, "exec")


@pytest.mark.proof
def test_no_mutant_of_the_owner_conditions_survives() -> None:
    def survivors_of(part: list[Mutant]) -> list[str]:
        with copied() as copy:
            assert survives(None, copy), "the tests must pass in an unchanged copy"
            return [mutant.name for mutant in part if survives(mutant, copy)]

    with ThreadPoolExecutor(WORKERS) as pool:
        parts = [ALL[number::WORKERS] for number in range(WORKERS)]
        survivors = [name for names in pool.map(survivors_of, parts) for name in names]
    note("mutants", "of the owner filter", tried=len(ALL), failed=len(survivors))
    assert survivors == []
