"""What an executor takes and what it gives back: jobs, their starts, their outcomes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from ..domain.errors import ProcessDiedError, error_from_record
from ..domain.records import ErrorRecord, RunKey


@dataclass(frozen=True)
class Job:
    """The runs that are trained together, and the call that trains them."""

    name: str
    runs: tuple[RunKey, ...]
    target: Callable[[], Any]
    """Picklable: it may be called in another process, on another machine."""
    log: Path | None = None
    """Where the call's standard output and error go; None leaves them where they are."""


class OutcomeKind(StrEnum):
    """How a job ended."""

    FINISHED = "finished"
    EXCEPTION = "exception"
    SIGNAL = "signal"
    EXIT_CODE = "exit_code"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobStarted:
    """A job left the queue."""

    job: Job
    pid: int


@dataclass(frozen=True)
class Outcome:
    """A job ended: its value, or what became of it, as data."""

    job: Job
    kind: OutcomeKind
    value: Any = None
    error: ErrorRecord | None = None
    signal_number: int | None = None
    exit_code: int | None = None

    def as_exception(self) -> Exception:
        """The failure as an exception, of the original built-in type where there is one."""
        if self.error is not None:
            return error_from_record(self.error)
        return ProcessDiedError(
            describe_death(self.signal_number, self.exit_code),
            remedy=f"the end of its output is in {self.job.log}" if self.job.log else None,
        )


class Executor(Protocol):
    """Carries jobs out; one thread uses it, as a context manager.

    Entering acquires processes, leaving ends every job that still runs. Whatever a job does to its
    own process (raise, exit, crash) comes back as an `Outcome` and touches no other job.
    """

    def __enter__(self) -> Self:
        """Acquire what jobs run on."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every job that still runs and give everything back."""
        ...

    def submit(self, job: Job, *, first: bool = False) -> None:
        """Queue a job behind those that wait, or before them; it starts in a later `next_event`."""
        ...

    def next_event(self, timeout_seconds: float) -> JobStarted | Outcome | None:
        """The next start or outcome; None when nothing happened in time."""
        ...

    def cancel(self) -> None:
        """Drop the queue and end the running jobs; their outcomes are `CANCELLED`."""
        ...

    def pids(self) -> Mapping[RunKey, int]:
        """The process that trains each run just now; safe to call from any thread."""
        ...


def describe_death(signal_number: int | None, exit_code: int | None) -> str:
    """In words how a process ended that reported no outcome."""
    if signal_number is None:
        return f"the process left with exit code {exit_code} before training ended"
    try:
        name = signal.Signals(signal_number).name
    except ValueError:
        name = f"signal {signal_number}"
    hint = " (the kernel's out-of-memory killer does this)" if name == "SIGKILL" else ""
    return f"the process was killed by {name}{hint}"
