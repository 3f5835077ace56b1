"""OpenTelemetry: spans of use cases and SQL statements, and the export by OTLP."""
