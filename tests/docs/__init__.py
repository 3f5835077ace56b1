"""The documentation is true: what it says is generated, resolved or run."""
