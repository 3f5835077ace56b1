"""Clock, random identifiers, background threads, and names of devices."""
