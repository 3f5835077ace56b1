"""Emails: how they are rendered and delivered."""
