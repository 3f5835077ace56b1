"""Complete adapters that keep everything in the memory of this process.

The tests of the domain run on them, and they pass the same contract tests as the SQL adapters.
Everything is lost when the process ends.
"""
