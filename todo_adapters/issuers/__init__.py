"""External issuers, whose tokens the service is configured to trust."""
