"""What an executor takes and what it gives back: jobs, their starts, their outcomes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from ..domain.errors import OutOfMemoryError, ProcessDiedError, error_from_record
from ..domain.records import ErrorRecord, ResourceSample, RunKey
from ..domain.redaction import known_secrets, redact


class Meter(Protocol):
    """Measures one process and all that it started."""

    def sample(self) -> ResourceSample | None:
        """One look; None when the process has ended."""
        ...


@dataclass(frozen=True)
class Needs:
    """What a job takes of a machine, as far as an executor must know to place it."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: float | None = None
    """None where nothing is known."""
    gpu_memory_mb: float | None = None


@dataclass(frozen=True)
class Job:
    """The runs that are trained together, and the call that trains them."""

    name: str
    runs: tuple[RunKey, ...]
    target: Callable[[], Any]
    """Picklable: it may be called in another process, on another machine."""
    log: Path | None = None
    """Where the call's standard output and error go; None leaves them where they are."""
    environment: Callable[[], Mapping[str, str]] | None = None
    """Called in this process when the job leaves the queue: variables for the job's own process."""
    needs: Needs = Needs()
    meter: Callable[[int], Meter] | None = None
    """Makes a meter for a process id where that process runs; used on other machines only."""


class OutcomeKind(StrEnum):
    """How a job ended."""

    FINISHED = "finished"
    EXCEPTION = "exception"
    SIGNAL = "signal"
    EXIT_CODE = "exit_code"
    OUT_OF_MEMORY = "out_of_memory"
    """It found no memory, the kernel ended it for memory, or a limit on memory did."""
    HANG = "hang"
    LIMIT = "limit"
    """It was stopped because of a limit other than memory."""
    LOST = "lost"
    """Its machine is gone, or what carries jobs out; the job itself may be as good as any."""
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobStarted:
    """A job left the queue."""

    job: Job
    pid: int
    host: str | None = None
    """The machine on which it runs; None for this one."""


@dataclass(frozen=True)
class Sampled:
    """A look at the processes of a job that runs on another machine."""

    job: Job
    sample: ResourceSample


@dataclass(frozen=True)
class Outcome:
    """A job ended: its value, or what became of it, as data."""

    job: Job
    kind: OutcomeKind
    value: Any = None
    error: ErrorRecord | None = None
    signal_number: int | None = None
    exit_code: int | None = None
    cause: Exception | None = None
    """Why it was stopped, where `Executor.stop` ended it."""

    def as_exception(self) -> Exception:
        """The failure as an exception, of the original built-in type where there is one."""
        if self.cause is not None:
            return self.cause
        if self.error is not None:
            return self._reported(self.error)
        return ProcessDiedError(
            describe_death(self.signal_number, self.exit_code),
            remedy=f"the end of its output is in {self.job.log}" if self.job.log else None,
        )

    def _reported(self, record: ErrorRecord) -> Exception:
        error = error_from_record(record)
        if self.kind is OutcomeKind.OUT_OF_MEMORY and not isinstance(error, MemoryError):
            return OutOfMemoryError(
                redact(f"{record.type_name}: {record.message}", known_secrets())
            )
        return error


Event = JobStarted | Sampled | Outcome


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

    def next_event(self, timeout_seconds: float) -> Event | None:
        """The next start, sample or outcome; None when nothing happened in time."""
        ...

    def stop(self, job: Job, kind: OutcomeKind, cause: Exception) -> None:
        """End one job, which need not be running; does not wait.

        Its outcome, in a later `next_event`, has this kind and cause, unless it finished before.
        """
        ...

    def resize(self, slots: int) -> None:
        """Let so many jobs run at once from now on, at least 1; those that run go on."""
        ...

    def cancel(self) -> None:
        """Drop the queue and end the running jobs.

        Their outcomes are `CANCELLED`, except for jobs that had finished or that `stop` had given
        another kind.
        """
        ...


def kind_of_error(error: ErrorRecord) -> OutcomeKind:
    """Whether an exception says that memory ran out, in the libraries' several ways."""
    is_named_so = error.type_name.endswith(("MemoryError", "OutOfMemoryError"))
    if is_named_so or "can't allocate memory" in error.message:  # PyTorch's, a RuntimeError
        return OutcomeKind.OUT_OF_MEMORY
    return OutcomeKind.EXCEPTION


def describe_death(signal_number: int | None, exit_code: int | None) -> str:
    """In words how a process ended that reported no outcome."""
    if signal_number is None:
        return f"the process left with exit code {exit_code} before training ended"
    try:
        name = signal.Signals(signal_number).name
    except ValueError:
        name = f"signal {signal_number}"
    return f"the process was killed by {name}"
