"""Helpers for the tests: servers, databases, users, settings, and waiting.

Test modules import from here, and never from a conftest or from each other
(`tests/architecture/test_support.py` holds this). Fixtures are in `tests/conftest.py`.
"""
