"""What every tracker is: a reader of journals that tells a remote system."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from ..domain.errors import TrackerError as TrackerError  # every tracker raises it
from ..domain.records import RunKey, RunStatus
from ..durability.journal import Record


class Connection(StrEnum):
    """Whether a tracker speaks to its server."""

    ONLINE = "online"
    OFFLINE = "offline"
    """It writes files that its own command line can upload later."""


def _nobody_waits() -> None:
    """No sign of life is needed."""


@dataclass(frozen=True)
class TrackerSettings:
    """How one tracker is reached, and where it may write; it never reads `os.environ` itself."""

    directory: Path
    """The experiment's directory."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its variables (``CLEARML_*``, ``WANDB_*``) of the process and of `.env`, keys among them."""
    connection: Connection = Connection.ONLINE
    log_dir: Path | None = None
    """Where TensorBoard's files go; None puts them into the experiment's directory."""
    keeps_files: bool = True
    """Whether files that the tracker's SDK leaves here after an upload may stay."""
    secrets: frozenset[str] = field(default_factory=frozenset, repr=False)
    """Values that no message and no upload may hold."""
    gets_on: Callable[[], None] = field(default=_nobody_waits, repr=False, compare=False)
    """To be called after each file that was uploaded: who shows no sign of life is ended."""


@dataclass(frozen=True)
class CodeState:
    """The code that trained, as git knows it."""

    commit: str | None = None
    branch: str | None = None
    repository: str | None = None
    """URL of the remote repository, without credentials."""
    diff: str = ""
    """Uncommitted changes and untracked modules as a patch, without secrets."""
    entry_point: str = ""
    """What was started, such as ``-m src.experiments.runner``."""


@dataclass(frozen=True)
class RunDescription:
    """What a remote system is told about a run before its first record; no secret is in it."""

    experiment_id: str
    """Also the group of all its runs."""
    run: RunKey
    name: str
    """The name that a person sees, at least three characters."""
    project: str
    uid: str
    """The same for each telling of this run, and no other's: 16 hexadecimal digits."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The arm's configuration, flat: ``hyperparameters/learning_rate`` to a plain value."""
    differences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """What differs between the arms, defaults expanded: name to baseline's and variant's value."""
    tags: tuple[str, ...] = ()
    """Environment, algorithm, arm, seed, host, then the experiment's own."""
    comment: str = ""
    hypothesis: str = ""
    code: CodeState = CodeState()
    packages: str = ""
    """The installed packages, one ``name==version`` a line."""
    host: str = ""
    command: str = ""
    partner: RunKey | None = None
    """The other arm's run of the same seed."""


@dataclass(frozen=True)
class Table:
    """Rows of plain values under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class RunConclusion:
    """What is told at the end of a run, beside its records."""

    status: RunStatus
    single_values: Mapping[str, float] = field(default_factory=dict)
    """Final metrics by name; one that is no finite number is NaN or infinite here too."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Path] = field(default_factory=dict)
    """PNG files by the figure's name, such as ``learning_curves``."""
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    """Files by the artifact's name, such as ``experiment_results``."""
    model: Path | None = None
    """The final policy as a zip of Stable-Baselines3."""
    verdict: str = ""
    """The experiment's answer in one sentence; empty where there is none yet."""
    error: str = ""
    """Why the run failed."""
    step: int = 0
    """The last step of the run."""


class Tracker(Protocol):
    """Tells one remote system about the runs of one experiment.

    A tracker lives in a process of its own, never in one that trains, and is called from one
    thread. It holds no cursor: whoever reads the journals keeps, in the ledger, the remote ids and
    how far each run was told. What a call has returned from is on its way for good; what was told
    just before a kill may be told once more.

    Every method may raise `TrackerError`, and whatever its SDK raises; training does not notice.
    """

    name: str
    restarts: bool
    """Whether a run that another process opened cannot be gone on with: `open_run` then begins it
    anew in the place of the other, and everything is told again."""

    def __init__(self, settings: TrackerSettings) -> None:
        """Nothing is opened yet, and the SDK is not imported."""
        ...

    def open_run(self, description: RunDescription, remote_id: str | None) -> str:
        """Create the remote run, or open again the one that `remote_id` names, finished or not.

        Also without a `remote_id` a run of the same `uid` that an interrupted telling has created
        is found and opened. Returns the remote id.
        """
        ...

    def write_records(self, remote_id: str, records: Sequence[Record]) -> None:
        """Tell journal and event records in logical order.

        A value that is not finite is shown as such, where the remote system can hold it; else as a
        counter and a line of text.
        """
        ...

    def finish_run(self, remote_id: str, conclusion: RunConclusion) -> None:
        """Tell the end of a run and wait until everything of it is stored remotely.

        May be called again for the same run, with the same or a later conclusion.
        """
        ...

    def url_of(self, remote_id: str) -> str | None:
        """Where a person finds an open run: an address or a path; None where there is none."""
        ...

    def close(self) -> None:
        """Wait until everything is stored remotely, and end the connection."""
        ...
