"""Tests of the documentation: its generated pages, its references and its commands."""
