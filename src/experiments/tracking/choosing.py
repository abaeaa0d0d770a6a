"""Which trackers are told, and how each is reached: flags, experiment file, environment, `.env`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.environment_file import TrackerVariables, tracker_variables
from ..domain.errors import UsageError
from ..domain.paths import ExperimentPaths
from ..domain.redaction import secrets_of
from .describing import TellingOptions
from .ledger import read_ledger
from .telling import Assignment
from .tracker import Connection, TrackerSettings


@dataclass(frozen=True)
class TrackingChoice:
    """What is said of trackers beside the experiment file."""

    project: str | None = None
    """Of every tracker; None: `WANDB_PROJECT` or `CLEARML_PROJECT`, else the experiment's id."""
    wandb_project: str | None = None
    """Of Weights & Biases alone."""
    name: str | None = None
    """What tasks and runs are called, before the run's own name."""
    tags: tuple[str, ...] = ()
    wandb_offline: bool | None = None
    """None: as `WANDB_MODE` says."""
    log_dir: Path | None = None
    """Where TensorBoard's files go."""
    variables: TrackerVariables | None = None
    """What the environment says; None: read it, and `.env` in the working directory."""


def assignments(
    paths: ExperimentPaths,
    trackers: Sequence[str],
    choice: TrackingChoice,
    *,
    follows: bool,
    keeps_files: bool = True,
) -> list[Assignment]:
    """What each tracker's process is to do; what was chosen earlier holds until it is changed.

    Raises:
        UsageError: when `.env` or a variable makes no sense, or a project would be another one.
        StorageError: when the ledger cannot be read.
    """
    if not trackers:
        return []
    variables = choice.variables or tracker_variables()
    secrets = frozenset(secrets_of(os.environ) | secrets_of(variables.values))
    earlier = read_ledger(paths.ledger)
    found = []
    for tracker in dict.fromkeys(trackers):
        known = TellingOptions.from_dict(earlier[tracker].options) if tracker in earlier else None
        is_told = tracker in earlier and any(earlier[tracker].places.values())
        options = _options(tracker, choice, variables, known or TellingOptions())
        _check_project(tracker, paths, options, known if is_told else None)
        settings = TrackerSettings(
            directory=paths.root.resolve(),
            environment=variables.values,
            connection=options.connection,
            log_dir=options.log_dir,
            keeps_files=keeps_files,
            secrets=secrets,
        )
        found.append(Assignment(tracker, paths, settings, options, follows))
    return found


def _options(
    tracker: str,
    choice: TrackingChoice,
    variables: TrackerVariables,
    known: TellingOptions,
) -> TellingOptions:
    own = choice.wandb_project if tracker == "wandb" else None
    by_variable = variables.values.get(f"{tracker.upper()}_PROJECT")
    return TellingOptions(
        project=own or choice.project or known.project or by_variable,
        name=choice.name or known.name,
        tags=choice.tags or known.tags,
        connection=_connection(tracker, choice, variables, known),
        log_dir=choice.log_dir.resolve() if choice.log_dir else known.log_dir,
    )


def _check_project(
    tracker: str, paths: ExperimentPaths, options: TellingOptions, known: TellingOptions | None
) -> None:
    """Refuse to go on in another project than that which has the runs."""
    if known is not None and options.project != known.project:
        raise UsageError(
            f"{tracker} was told this experiment already, in project"
            f" {known.project or paths.experiment_id!a}",
            remedy="leave out the option that names another project",
        )


def _connection(
    tracker: str, choice: TrackingChoice, variables: TrackerVariables, known: TellingOptions
) -> Connection:
    if tracker != "wandb":
        return Connection.ONLINE
    if choice.wandb_offline is not None:
        return Connection.OFFLINE if choice.wandb_offline else Connection.ONLINE
    by_variable = {"offline": Connection.OFFLINE, "online": Connection.ONLINE}
    return by_variable.get(variables.wandb_mode or "", known.connection)
