"""The ledger: which tracker was told what, so that telling again changes nothing.

One file holds all trackers; each tracker's process changes its own part under a lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from ..domain.errors import StorageError
from ..domain.records import RunKey
from ..durability.files import make_directory, read_json, write_json
from ..durability.lock import FileLock
from .cursor import Cursor

FORMAT_VERSION = 1
LOCK_PATIENCE_SECONDS = 10.0


class TellingState(StrEnum):
    """How far a tracker is with a run, or with all of them."""

    OPEN = "open"
    """It is being told, or was when its process ended."""
    COMPLETE = "complete"
    """Everything that there was to tell is stored remotely, or in files for a later upload."""
    PENDING = "pending"
    """Something was not told; `sync` goes on from here."""


@dataclass(frozen=True)
class RunEntry:
    """What one tracker was told of one run."""

    remote_id: str | None = None
    url: str | None = None
    cursor: Cursor = field(default_factory=Cursor)
    state: TellingState = TellingState.OPEN
    conclusion: str | None = None
    """Digest of the last conclusion that was told."""
    withheld: tuple[str, ...] = ()
    """Files of the experiment that were not told, because they hold a secret."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data; the cursor's fields stand beside the others."""
        data = asdict(self)
        cursor = data.pop("cursor")
        return {**cursor, **data, "state": self.state.value, "withheld": list(self.withheld)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From what `to_dict` made."""
        return cls(
            remote_id=data.get("remote_id"),
            url=data.get("url"),
            cursor=Cursor(int(data["step"]), int(data["records"]), int(data["events"])),
            state=TellingState(data["state"]),
            conclusion=data.get("conclusion"),
            withheld=tuple(data.get("withheld", ())),
        )


@dataclass(frozen=True)
class TrackerEntry:
    """What one tracker was told."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Project, names and places that were chosen when it was first told; no secret."""
    state: TellingState = TellingState.OPEN
    error: str | None = None
    """Why something is pending."""
    place: str = ""
    """Where it is told: a server, files for a later upload, a folder of TensorBoard."""
    places: Mapping[str, Mapping[RunKey, RunEntry]] = field(default_factory=dict)
    """What was told at each place; coming back to one goes on there."""

    @property
    def runs(self) -> Mapping[RunKey, RunEntry]:
        """What was told at the place where it is told now."""
        return self.places.get(self.place, {})

    def with_runs(self, runs: Mapping[RunKey, RunEntry]) -> Self:
        """A copy that holds other entries for the place where it is told now."""
        return replace(self, places={**self.places, self.place: dict(runs)})

    def with_run(self, run: RunKey, entry: RunEntry) -> Self:
        """A copy that holds another entry for one run."""
        return self.with_runs({**self.runs, run: entry})

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "state": self.state.value,
            "error": self.error,
            "options": dict(self.options),
            "place": self.place,
            "places": {
                place: {run.name: entry.to_dict() for run, entry in sorted(runs.items())}
                for place, runs in self.places.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From what `to_dict` made."""
        return cls(
            options=dict(data["options"]),
            state=TellingState(data["state"]),
            error=data["error"],
            place=data["place"],
            places={
                place: {
                    RunKey.from_name(name): RunEntry.from_dict(entry)
                    for name, entry in runs.items()
                }
                for place, runs in data["places"].items()
            },
        )


def read_ledger(path: Path) -> dict[str, TrackerEntry]:
    """The entries by tracker; none where there is no ledger.

    Raises:
        StorageError: when it cannot be read or is no ledger.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    try:
        return _entries(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"it is not a ledger ({error!r})",
            where=str(path),
            remedy="restore it from a copy; without it everything is uploaded a second time",
        ) from error


def _entries(content: Any) -> dict[str, TrackerEntry]:
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format {content['format_version']!r} is not {FORMAT_VERSION}")
    return {name: TrackerEntry.from_dict(entry) for name, entry in content["trackers"].items()}


def write_entry(
    path: Path,
    tracker: str,
    entry: TrackerEntry,
    patience_seconds: float = LOCK_PATIENCE_SECONDS,
) -> None:
    """Put one tracker's entry into the ledger, beside the others'.

    Raises:
        StorageError: when the disk refuses; the former ledger is untouched.
        ExperimentLockedError: when another process writes it for seconds.
    """
    make_directory(path.parent)
    with _locked(path, patience_seconds):
        write_ledger(path, {**read_ledger(path), tracker: entry})


def _locked(path: Path, patience_seconds: float = LOCK_PATIENCE_SECONDS) -> FileLock:
    lock = path.with_name(f".{path.name}.lock")
    return FileLock(lock, patience_seconds, waits_for_the_living=True)


def write_ledger(path: Path, entries: Mapping[str, TrackerEntry]) -> None:
    """Write a whole ledger; to be called where nobody else writes it."""
    trackers = {name: entry.to_dict() for name, entry in entries.items()}
    write_json(path, {"format_version": FORMAT_VERSION, "trackers": trackers})


def ensure_ledger(path: Path) -> None:
    """Write an empty ledger where there is none."""
    make_directory(path.parent)
    with _locked(path):
        if not path.exists():
            write_ledger(path, {})
