"""What travels between the orchestrator, the gateway, the tasks and the keepers."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...domain.errors import ExperimentsError
from ...domain.records import ErrorRecord, ResourceSample
from ..job import Needs, OutcomeKind


@dataclass(frozen=True)
class Workplace:
    """What the jobs of one orchestrator find on every machine."""

    preload: tuple[str, ...]
    threads: int
    import_path: str
    """As PYTHONPATH has it."""
    directory: str
    """The orchestrator's working directory."""
    machine: str
    """Where the orchestrator runs, as `this_machine` tells it."""
    token: Path | None = None
    """A file of the orchestrator's on the storage that all machines share."""


@dataclass(frozen=True)
class Connect:
    """To the gateway, first of all: which cluster, and what the jobs find there."""

    address: str | None
    """None starts a cluster on this machine."""
    slots: int
    shared_directory: Path | None
    workplace: Workplace


@dataclass(frozen=True)
class Connected:
    """The cluster is there, and its machines see the results."""


@dataclass(frozen=True)
class Refused:
    """There will be no cluster."""

    error: ExperimentsError


@dataclass(frozen=True)
class Order:
    """A job."""

    ticket: int
    name: str
    target: bytes
    """The pickled callable; only the run's own process unpickles it."""
    log: Path | None
    environment: Mapping[str, str]
    needs: Needs
    meter: bytes | None
    """The pickled maker of a meter."""


@dataclass(frozen=True)
class Stop:
    """End a job; `kind` says why."""

    ticket: int
    kind: OutcomeKind


@dataclass(frozen=True)
class Began:
    """The job's own process exists."""

    ticket: int
    pid: int
    host: str | None


@dataclass(frozen=True)
class Seen:
    """A look at the job's processes."""

    ticket: int
    sample: ResourceSample


@dataclass(frozen=True)
class Over:
    """The job ended."""

    ticket: int
    kind: OutcomeKind
    value: bytes | None = None
    """The pickled value of a job that finished."""
    error: ErrorRecord | None = None
    signal_number: int | None = None
    exit_code: int | None = None
    cause: Exception | None = None


Message = Began | Seen | Over


def this_machine() -> str:
    """A name for this machine and its processes: equal only where a process id means the same."""
    marks = [socket.gethostname()]
    with suppress(OSError):  # Linux only
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(marks)
