"""The rules for text that JSON Schema can express, for generated clients and forms.

The core applies the rules (`todo_core.entities.text`); these patterns only describe them.
"""

_CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f"
_CONTROL_CHARACTERS_BUT_TAB_AND_LINE_FEED = r"\x00-\x08\x0b-\x1f\x7f-\x9f"

LINE_PATTERN = f"^[^{_CONTROL_CHARACTERS}]*$"
"""Text on one line."""

PROSE_PATTERN = rf"^(?:[^{_CONTROL_CHARACTERS_BUT_TAB_AND_LINE_FEED}]|\r\n)*$"
"""Text on several lines."""
