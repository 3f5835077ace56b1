"""The service as its users meet it: HTTP, and the `todo` command.

It translates requests into calls of use cases, and what they return or raise
into answers. `container` is where the parts are put together.
"""
