"""Clock, identifiers, background threads, and names of devices."""
