"""What happens after a run failed: a decision from a strategy and a count, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..domain.errors import UsageError


class RecoveryStrategy(StrEnum):
    """The three answers to a failed run."""

    ABORT = "abort"
    """Stop the experiment."""
    RETRY = "retry"
    """Train the run again, up to a bound; then as `ABORT`."""
    SKIP = "skip"
    """Go on without the run."""


@dataclass(frozen=True)
class RecoveryPolicy:
    """How many attempts a run has under `RETRY`."""

    max_retries: int = 2

    def decide(self, strategy: RecoveryStrategy, attempts: int) -> RecoveryStrategy:
        """What to do after `attempts` failed attempts."""
        if strategy is RecoveryStrategy.RETRY and not self.allows_retry(attempts):
            return RecoveryStrategy.ABORT
        return strategy

    def allows_retry(self, attempts: int) -> bool:
        """Whether one more attempt is allowed after `attempts` failed ones."""
        return attempts <= self.max_retries


def parse_strategy(name: str) -> RecoveryStrategy:
    """The strategy of that name.

    Raises:
        UsageError: when there is none.
    """
    try:
        return RecoveryStrategy(name)
    except ValueError:
        allowed = ", ".join(RecoveryStrategy)
        raise UsageError(
            f"recovery strategy {name!r} is unknown", remedy=f"use one of: {allowed}"
        ) from None
