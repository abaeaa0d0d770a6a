"""The jobs that wait for a slot."""

from __future__ import annotations

from collections import deque

from .job import Job, Outcome, OutcomeKind


class JobQueue:
    """First come, first served, but for jobs that are put first.

    Args:
        slots: jobs that may run at once.
    """

    def __init__(self, slots: int) -> None:
        self._jobs: deque[Job] = deque()
        self.slots = 0
        self.resize(slots)

    def add(self, job: Job, *, first: bool) -> None:
        """Let a job wait, behind those that do or before them."""
        if first:
            self._jobs.appendleft(job)
        else:
            self._jobs.append(job)

    def take(self, running: int) -> Job | None:
        """The next job where fewer run than there are slots."""
        return self._jobs.popleft() if self._jobs and running < self.slots else None

    def resize(self, slots: int) -> None:
        """Let so many jobs run at once from now on.

        Raises:
            ValueError: for none.
        """
        if slots < 1:
            raise ValueError(f"slots: need at least 1, got {slots}")
        self.slots = slots

    def drop(self, job: Job) -> bool:
        """Let a job wait no longer; False where it does not wait."""
        waits = job in self._jobs
        if waits:
            self._jobs.remove(job)
        return waits

    def cancel(self) -> list[Outcome]:
        """Let none wait any longer."""
        dropped = [Outcome(job, OutcomeKind.CANCELLED) for job in self._jobs]
        self._jobs.clear()
        return dropped
