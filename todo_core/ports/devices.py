"""Readable names of devices."""

from abc import abstractmethod
from typing import Protocol


class DeviceNames(Protocol):
    """Recognises browsers and operating systems by their `User-Agent` header."""

    @abstractmethod
    def name(self, user_agent: str) -> str:
        """Return the name of the device, such as `Firefox on Windows`, or an empty string."""
