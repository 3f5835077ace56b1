"""Passwords with passlib, tokens with python-jose, and the keys that sign tokens."""
