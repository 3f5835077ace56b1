"""Time and randomness, from the operating system."""
