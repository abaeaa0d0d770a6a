"""An experiment's life: where it stands, since when, and what may come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from .errors import UsageError
from .records import ExperimentStatus

_RUNNING = ExperimentStatus.RUNNING
_MAY_BECOME: Mapping[ExperimentStatus, frozenset[ExperimentStatus]] = {
    ExperimentStatus.RUNNING: frozenset(set(ExperimentStatus) - {_RUNNING}),
    ExperimentStatus.PAUSED: frozenset({_RUNNING}),
    ExperimentStatus.COMPLETED: frozenset({_RUNNING}),
    ExperimentStatus.FAILED: frozenset(
        {ExperimentStatus.CREATED, _RUNNING, ExperimentStatus.PAUSED}
    ),
}
"""By status, those from which it can be reached."""


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Life:
    """The status of an experiment, and the moments at which it changed."""

    status: ExperimentStatus = ExperimentStatus.CREATED
    created_at: str = field(default_factory=now)
    started_at: str | None = None
    ended_at: str | None = None
    error_message: str | None = None

    def start(self) -> None:
        """Begin, or begin again.

        Raises:
            UsageError: when it is running.
        """
        self._change_to(ExperimentStatus.RUNNING)
        self.started_at = self.started_at or now()
        self.ended_at = self.error_message = None

    def pause(self) -> None:
        """Stop for now.

        Raises:
            UsageError: when it is not running.
        """
        self._change_to(ExperimentStatus.PAUSED)

    def stop(self, failed: bool, error_message: str | None) -> None:
        """End, completed or failed.

        Raises:
            UsageError: when that cannot follow on its status.
        """
        self._change_to(ExperimentStatus.FAILED if failed else ExperimentStatus.COMPLETED)
        self.ended_at = now()
        self.error_message = error_message

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {**vars(self), "status": self.status.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From what `to_dict` made, among other keys.

        Raises:
            KeyError: for a field that is missing.
            ValueError: for an unknown status.
        """
        return cls(
            ExperimentStatus(data["status"]),
            data["created_at"],
            data["started_at"],
            data["ended_at"],
            data["error_message"],
        )

    def _change_to(self, status: ExperimentStatus) -> None:
        if self.status not in _MAY_BECOME[status]:
            raise UsageError(
                f"the experiment is {self.status.value} and cannot become {status.value}"
            )
        self.status = status
