"""Which trackers are told, and how each is reached: flags, experiment file, environment, `.env`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..config.environment_file import TrackerVariables, tracker_variables
from ..domain.errors import UsageError
from ..domain.paths import ExperimentPaths
from ..domain.redaction import known_secrets
from .describing import TellingOptions
from .ledger import TrackerEntry, read_ledger
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
    secrets = frozenset(known_secrets() | variables.secrets)
    earlier = read_ledger(paths.ledger)
    found = []
    for tracker in dict.fromkeys(trackers):
        entry = earlier.get(tracker, TrackerEntry())
        options = _options(tracker, choice, variables, TellingOptions.from_dict(entry.options))
        if any(entry.places.values()):
            options = _in_the_same_project(tracker, paths, options, choice, entry)
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
    by_variable = variables.values.get(f"{tracker.upper()}_PROJECT")
    return TellingOptions(
        project=_chosen_project(tracker, choice) or known.project or by_variable,
        name=choice.name or known.name,
        tags=choice.tags or known.tags,
        connection=_connection(tracker, choice, variables, known),
        log_dir=choice.log_dir.resolve() if choice.log_dir else known.log_dir,
    )


def _in_the_same_project(
    tracker: str,
    paths: ExperimentPaths,
    options: TellingOptions,
    choice: TrackingChoice,
    entry: TrackerEntry,
) -> TellingOptions:
    """The options with the project that has the runs, whatever a variable says by now."""
    known = TellingOptions.from_dict(entry.options).project
    if _chosen_project(tracker, choice) not in (None, known or paths.experiment_id):
        raise UsageError(
            f"this experiment was already uploaded to {tracker}, in project "
            f"{known or paths.experiment_id!a}",
            remedy="leave out the option that names another project",
        )
    return replace(options, project=known)


def _chosen_project(tracker: str, choice: TrackingChoice) -> str | None:
    return (choice.wandb_project if tracker == "wandb" else None) or choice.project


def _connection(
    tracker: str, choice: TrackingChoice, variables: TrackerVariables, known: TellingOptions
) -> Connection:
    if tracker != "wandb":
        return Connection.ONLINE
    if choice.wandb_offline is not None:
        return Connection.OFFLINE if choice.wandb_offline else Connection.ONLINE
    by_variable = {"offline": Connection.OFFLINE, "online": Connection.ONLINE}
    return by_variable.get(variables.wandb_mode or "", known.connection)
