"""The rules of the Todo service, in pure Python.

Nothing in here knows about HTTP, SQL, JSON Web Tokens or the time of day. What
the rules need from outside they ask for through `todo_core.ports`.

Read in this order: `errors`, `entities`, `ports`, `use_cases`, `application`. That is also the
direction in which a module may be imported: each may use those before it.
"""
