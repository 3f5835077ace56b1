"""What of the rules of text (`todo_core.entities.text`) JSON Schema can say.

The core applies them; here they are only told to those who generate clients and forms.
"""

_CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f"
_CONTROL_CHARACTERS_BUT_TAB_AND_LINE_FEED = r"\x00-\x08\x0b-\x1f\x7f-\x9f"

LINE_PATTERN = f"^[^{_CONTROL_CHARACTERS}]*$"
"""Text in one line."""

PROSE_PATTERN = rf"^(?:[^{_CONTROL_CHARACTERS_BUT_TAB_AND_LINE_FEED}]|\r\n)*$"
"""Text in several lines."""
