"""What the core needs from outside, one Protocol per role.

An adapter inherits the port that it implements, so that a method it forgets is
noticed when it is constructed. The docstrings here are the contract; the
contract tests (tests/contracts) hold every adapter to it.

Any method here that needs something that does not answer raises `Unavailable`.
"""
