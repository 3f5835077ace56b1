"""Adapters that tell an observer what happens, and leave the work to others.

The composition root uses them where metrics are served, and only there. They know no metrics: an
observer is any function.
"""
