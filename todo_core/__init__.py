"""The rules of the Todo service, in pure Python.

Nothing in this package knows about HTTP, SQL, JSON Web Tokens or the system clock. What it needs
from outside, it gets through `todo_core.ports`.

Read it in this order: `errors`, `entities`, `ports`, `use_cases`, `application`. Each of these may
import those before it, and none of those after it.
"""
