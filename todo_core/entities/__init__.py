"""Entities and value objects: the data of the service and the rules that always hold for it.

Entities are frozen: a change returns a new one. They take the time as an argument and never
read a clock. Creating an entity (`Task.create`) and loading a stored one (the constructor) are
different things: the first applies the rules, the second trusts what was stored.
"""
