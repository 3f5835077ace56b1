"""How fast the service is, compared with alternatives on the same core.

`python -m tests.benchmarks` measures; it is not part of the test suite.

`__main__` runs the benchmark. `contenders` defines what is compared; `service` and
`pocketbase` start the contenders, of which `bare` and `hand_written` are
applications that exist only for comparison. `processes` runs servers,
`load` generates load, and `report` prints the results.
"""
