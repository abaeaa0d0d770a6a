"""What happens after a run failed: the strategies, the bound on retries, what a retry changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from ..domain.errors import UsageError
from ..domain.records import TrainerConfig
from .adjustments import Adjustment

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0
"""Between a failure and the next attempt."""


class RecoveryStrategy(StrEnum):
    """The three answers to a failed run."""

    ABORT = "abort"
    """Stop the experiment."""
    RETRY = "retry"
    """Train the run again, up to a bound; then as `ABORT`."""
    SKIP = "skip"
    """Go on without the run."""


@dataclass(frozen=True)
class FailedRun:
    """A run that just failed, and how to try it once more."""

    name: str
    """The run's, or the arm's where it is trained here and now."""
    arm: str
    error: Exception
    failures: int
    """Failed attempts so far, this one included."""
    again: Callable[[float], bool]
    """Trains, or queues, another attempt after so many seconds; False when that did not help."""
    is_repeated: bool = False
    """Whether the attempt before failed at the same step in the same way, unchanged."""


class Recovery:
    """Bounds the retries of each run, and remembers what is changed for an arm's further attempts.

    Args:
        max_retries: further attempts of one run.
    """

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries
        self._adjustments: dict[str, tuple[Adjustment, ...]] = {}
        self.failed: FailedRun | None = None
        """The run that is being decided about."""

    @contextmanager
    def deciding(self, failed: FailedRun) -> Iterator[None]:
        """Let the block decide about a failed run; a retry that fails in it nests."""
        before, self.failed = self.failed, failed
        try:
            yield
        finally:
            self.failed = before

    @property
    def chances(self) -> str:
        """Which attempt has failed, of how many."""
        failures = self.failed.failures if self.failed else 1
        return f"attempt {failures} of {self._max_retries + 1}"

    @property
    def why_none_is_left(self) -> str | None:
        """Why the failed run is not tried again under `RETRY`; None where it is."""
        if self.failed is not None and self._changes_nothing():
            return "it failed at the same step in the same way before"
        return None if self._may_retry() else self.chances

    def decide(self, strategy: RecoveryStrategy) -> RecoveryStrategy:
        """The strategy, or `ABORT` where no retry is left."""
        if strategy is RecoveryStrategy.RETRY and not self._may_retry():
            return RecoveryStrategy.ABORT
        return strategy

    def retry(self, arm: str | None = None, adjustment: Adjustment | None = None) -> bool:
        """Try the failed run again, its arm adjusted from now on; False where none is left."""
        if self.failed is None or self.failed.failures > self._max_retries:
            return False
        if adjustment is None and self._changes_nothing():
            return False
        if adjustment is not None:
            arm = arm or self.failed.arm
            self._adjustments[arm] = (*self._adjustments.get(arm, ()), adjustment)
        return self.failed.again(pause_seconds(self.failed.failures))

    def adjusted(self, arm: str, config: TrainerConfig) -> tuple[TrainerConfig, list[str]]:
        """An arm's configuration after its adjustments, and what they changed in words."""
        deviations = []
        for adjustment in self._adjustments.get(arm, ()):
            changed = adjustment(config)
            if changed is not None:
                config, deviation = changed
                deviations.append(deviation)
        return config, deviations

    def _may_retry(self) -> bool:
        failed = self.failed
        return (
            failed is not None
            and failed.failures <= self._max_retries
            and not self._changes_nothing()
        )

    def _changes_nothing(self) -> bool:
        """Whether another attempt would only meet the same failure once more."""
        return self.failed is not None and self.failed.is_repeated


def pause_seconds(failures: int) -> float:
    """How long the next attempt waits after so many failures: twice as long each time."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), LONGEST_PAUSE_SECONDS)


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
