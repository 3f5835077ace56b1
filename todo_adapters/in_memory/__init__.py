"""Complete adapters that keep everything in this process's memory.

The domain tests run on them, and they are held to the same contract as the SQL
ones. They forget everything when the process ends.
"""
