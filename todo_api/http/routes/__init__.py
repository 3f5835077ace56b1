"""The endpoints. A route parses, calls one use case, and renders; it decides nothing."""
