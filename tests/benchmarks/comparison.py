"""The comparison of all contenders on one database in one layout.

Everything is measured in one run and in alternation, in several short rounds, so that other load on
the machine affects all contenders equally. Ratios are then reliable even where the figures
themselves are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tests.benchmarks.contenders import Contender, Operation
from tests.benchmarks.load import Endpoint, Measurement, measure
from tests.benchmarks.pocketbase import pocketbase
from tests.benchmarks.results import Results
from tests.benchmarks.service import (
    bare_endpoint,
    create_data,
    hand_written,
    service,
    service_with_limits,
    service_with_workers,
)
from tests.benchmarks.setup import Setup

_WARM_UP_SECONDS = 1


def compare(setup: Setup, *, seconds: int, rounds: int) -> Results:
    """Measure all operations of all contenders, while all of their servers run."""
    with _contenders(setup) as contenders:
        for contender in contenders:
            create = contender.endpoints[Operation.CREATE]
            measure(create, contender.server, setup, seconds=_WARM_UP_SECONDS)
        operations = _operations(setup)
        measured = [_round(contenders, operations, setup, seconds) for _ in range(rounds)]
        return Results(
            {
                operation: {
                    contender.name: [results[endpoint] for results in measured]
                    for contender in contenders
                    if (endpoint := contender.endpoints.get(operation))
                }
                for operation in operations
            },
            {
                contender.name: contender.server.processes.resident_megabytes()
                for contender in contenders
            },
        )


@contextmanager
def _contenders(setup: Setup) -> Iterator[Sequence[Contender]]:
    """Run all contenders.

    Several workers need several cores, and the cost of limits is clearest on one core. PocketBase
    and the bare endpoint do not use the database of the service, so that comparing them on another
    database would add nothing.
    """
    data = create_data(setup)
    with ExitStack() as stack:
        ours = stack.enter_context(service(setup, data))
        contenders = [ours]
        if setup.layout.is_pinned:
            contenders.append(stack.enter_context(service_with_limits(setup, data)))
        else:
            contenders.append(stack.enter_context(service_with_workers(setup, data)))
        if setup.is_sqlite:
            contenders.append(stack.enter_context(pocketbase(setup)))
        contenders += stack.enter_context(hand_written(setup, data, ours))
        if setup.is_sqlite:
            contenders.append(stack.enter_context(bare_endpoint(setup)))
        yield contenders


def _operations(setup: Setup) -> Sequence[Operation]:
    """Return what is measured. A login takes the same time on every database."""
    return [operation for operation in Operation if setup.is_sqlite or operation != Operation.LOGIN]


def _round(
    contenders: Sequence[Contender], operations: Sequence[Operation], setup: Setup, seconds: int
) -> Mapping[Endpoint, Measurement]:
    """Measure every endpoint once. Endpoints that are compared are measured after each other."""
    servers = {
        endpoint: contender.server
        for operation in operations
        for contender in contenders
        if (endpoint := contender.endpoints.get(operation))
    }
    return {
        endpoint: measure(endpoint, server, setup, seconds=seconds)
        for endpoint, server in servers.items()
    }
