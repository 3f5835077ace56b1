"""Copies of an owner's tasks that are kept up to date by reading their changes."""
