"""How fast the service is, beside what else somebody could have run on the same core.

`python -m tests.benchmarks` measures; it is not part of the test suite.

`__main__` is the run. `contenders` says what it is to take part; `service` and
`pocketbase` start those who do, of whom `bare` and `hand_written` are
applications that exist only to be compared with. `processes` runs servers,
`load` drives them, `report` tells.
"""
