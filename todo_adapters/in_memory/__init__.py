"""Complete adapters that keep everything in the memory of this process.

The domain tests run on them, and the same contract tests hold them and the SQL adapters.
Everything is lost when the process ends.
"""
