"""The HTTP API and the `todo` command.

Requests become calls of use cases, and their results and errors become responses. `container` is
the composition root.
"""
