"""Ports: what the core needs from outside, one protocol for each role.

An adapter inherits the port that it implements, so that a missing method is noticed when the
adapter is constructed. The docstrings are the contract. The contract tests (tests/contracts) hold
every adapter to it.

Any method may raise `Unavailable` if something that it depends on does not respond.
"""
