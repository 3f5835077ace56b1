"""How often somebody may do something."""

from abc import abstractmethod
from typing import Protocol


class RateLimiter(Protocol):
    """Counts what is done under a rule, apart for each key, and says when it is too much.

    A rule is known by name, and how much it allows is a setting; it may consist of
    several limits, such as 5 a minute and 20 an hour. Counting is atomic: of any
    number at the same moment, exactly as many pass as are allowed.
    """

    @abstractmethod
    def hit(self, rule: str, *key: str) -> None:
        """Count one.

        Raises:
            RateLimited: if one of the rule's limits is used up.
        """

    @abstractmethod
    def forgive(self, rule: str, *key: str) -> None:
        """Forget what was counted under this rule for this key."""
