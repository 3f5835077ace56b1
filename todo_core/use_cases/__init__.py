"""Use cases: what users can do with the service, one class each.

A use case is a frozen dataclass of the ports that it needs, with `__call__`. It takes plain values
as keyword arguments, applies the rules, and returns entities. Its docstring states the policy.
`todo_core.application` assembles all of them.
"""
