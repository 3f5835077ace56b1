"""The outside of the service: one room per technology, each implementing ports of the core."""
