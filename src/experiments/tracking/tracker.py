"""What every tracker is: a reader of journals that tells a remote system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..domain.records import RunKey, RunStatus
from ..durability.journal import Record


@dataclass(frozen=True)
class RunDescription:
    """What a remote system is told about a run before its first record."""

    experiment_id: str
    run: RunKey
    name: str
    """The name that a person sees."""
    project: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """The arm's resolved configuration, without secrets."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    comment: str = ""
    hypothesis: str = ""


class Tracker(Protocol):
    """Tells one remote system about the runs of one experiment.

    A tracker lives in a process of its own, never in one that trains, and is called from one
    thread. It holds no cursor: whoever reads the journals keeps the logical step up to which each
    run was written, and the remote ids, in the ledger, so that telling twice changes nothing.
    Any method may raise; training does not notice.
    """

    name: str

    def open_run(self, description: RunDescription, remote_id: str | None) -> str:
        """Create the remote run, or open the one that `remote_id` names; return its remote id."""
        ...

    def write_records(self, remote_id: str, records: Sequence[Record]) -> None:
        """Tell journal and event records in logical order, none of which was told before."""
        ...

    def finish_run(self, remote_id: str, status: RunStatus) -> None:
        """Say how the run ended; nothing is written to it afterwards."""
        ...

    def close(self) -> None:
        """Send what is still held back and end the connection."""
        ...
