"""The exporter: it collects the metrics of all processes of a service, and serves them.

It imports neither the settings nor the application, because the parent of several workers, which
imports little (`todo_api.workers`), serves the metrics of all of them.
"""
