"""Time, randomness and background work of the operating system, and names of others."""
