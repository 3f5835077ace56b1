"""The endpoints. A route parses the request, calls one use case, and renders the result."""
