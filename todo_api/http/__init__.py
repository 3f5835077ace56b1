"""The translation between HTTP and the use cases: routes, schemas, problem documents, OpenAPI."""
