"""What a client calls itself, in words that its user recognises."""

from abc import abstractmethod
from typing import Protocol


class DeviceNames(Protocol):
    """Recognises browsers and operating systems by the `User-Agent` that they send."""

    @abstractmethod
    def name(self, user_agent: str) -> str:
        """Return the name of the device, such as `Firefox on Windows`; empty if it is unknown."""
