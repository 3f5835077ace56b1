"""Applications that exist only for comparison.

`bare` has one endpoint that does nothing. `hand_written_fastapi` and `hand_written_starlette` are
the service's endpoints on two frameworks; what they have in common is in `hand_written`.
"""
