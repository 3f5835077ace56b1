"""Ways to deliver letters."""
