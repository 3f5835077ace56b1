"""How fast the service is, as users run it, compared with alternatives.

`python -m tests.benchmarks` measures; it is not part of the test suite. `--only` runs one of its
`parts`.

`comparison` puts load on all contenders, on one database in one layout of processes and cores.
`half_load` measures how long clients wait at half of the peak, and `footprint` memory and cold
start. `contenders` defines what is compared; `service` and `pocketbase` start the contenders, and
`applications` has those that exist only for comparison. `setup` prepares databases and cores,
`processes` runs servers, and `load` generates load. `results` calculates ratios, which `targets`
checks and `report` prints.

`threads` is a benchmark of its own.
"""
