"""Entities and value objects: what the service is about, and what is always true of it.

Entities are frozen; a change returns a new one. They take the time as an
argument and never look at a clock. Making a new entity (`Task.create`) and
rebuilding a stored one (its constructor) are two different things: the first
applies the rules, the second trusts what was stored under them.
"""
