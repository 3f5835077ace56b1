"""The adapters: one package per technology, each implementing ports of the core."""
