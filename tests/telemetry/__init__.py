"""Traces and logs that are exported to a collector."""
