"""Counting, with the library `limits`: in this process, or in Redis or Valkey for many."""
