"""Issuers outside of this service, whose tokens it was told to trust."""
