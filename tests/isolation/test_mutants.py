"""The isolation tests notice every mutant of what keeps people apart."""

import pytest

from tests.isolation.mutants import Mutant, copied, mutants, survives
from tests.proof import note

ALL = list(mutants())


def test_there_is_something_to_mutate_and_each_mutant_is_another() -> None:
    assert len(ALL) >= 40
    assert len({(mutant.file, mutant.source) for mutant in ALL}) == len(ALL)
    for mutant in ALL:
        compile(mutant.source, mutant.file, "exec")


@pytest.mark.proof
def test_no_mutant_survives() -> None:
    with copied() as copy:
        assert survives(None, copy), "the tests must pass where nothing is mutated"
        survivors: list[Mutant] = []
        for mutant in ALL:
            if survives(mutant, copy):
                survivors.append(mutant)
            note("mutants", "of the owner filter", failed=mutant in survivors)
    assert [mutant.name for mutant in survivors] == []
