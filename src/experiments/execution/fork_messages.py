"""What the orchestrator and its fork server say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..domain.records import ErrorRecord


@dataclass(frozen=True)
class Start:
    """Ask the server for a child that calls the pickled `target`."""

    ticket: int
    target: bytes
    log: Path | None
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Kill:
    """Ask the server to send a signal to a child; SIGKILL goes to all it started as well."""

    ticket: int
    signal_number: int


@dataclass(frozen=True)
class Started:
    """The server forked a child."""

    ticket: int
    pid: int


@dataclass(frozen=True)
class Ended:
    """A child is gone: its wait status and the pickled report it left, if any."""

    ticket: int
    status: int
    report: bytes


@dataclass(frozen=True)
class Broken:
    """The server could not import what it was to preload, and leaves."""

    error: ErrorRecord
