"""Acknowledged writes survive when a component fails in the middle of the work.

Everything here runs the real `todo serve`, or the real application, beside real servers
that are killed, cut off, filled up or set to the wrong time.
"""
