"""What `sync` does: one tracker after the other, each in a process that cannot hold it up."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..config.environment_file import tracker_variables
from ..domain.errors import ExperimentLockedError, ExperimentsError, UsageError, described
from ..domain.paths import ExperimentPaths
from ..domain.records import RunStatus
from ..domain.storage_policy import Storage
from ..durability.lock import FileLock
from ..durability.saved_experiments import find_experiment_file
from ..outputs.retention import keep_what_is_kept
from ..outputs.uploads import tell_now
from ..tracking.choosing import TrackingChoice, assignments
from ..tracking.ledger import TellingState, TrackerEntry, read_ledger
from ..tracking.manifest import write_manifest
from ..tracking.registry import check_tracker
from ..tracking.telling import Assignment, Told
from . import screen, stored
from .displays import warn
from .failures import ExitCode
from .json_output import write_object
from .signals import Stopped, stopping
from .told import told_lines
from .wording import plural, printable

SETTLED = (RunStatus.COMPLETED, RunStatus.CANCELLED)
"""Runs of which no more is to come; a rule cancels those without which it ends an experiment."""


@dataclass(frozen=True)
class SyncRequest:
    """A command line that asks for an experiment to be told."""

    path: Path
    trackers: tuple[str, ...]
    choice: TrackingChoice
    json: bool = False


def carry_out(request: SyncRequest) -> int:
    """Tell each tracker; returns the exit code.

    Raises:
        ExperimentsError: when the experiment cannot be read or a tracker is unknown.
        Stopped: when a signal has stopped it.
    """
    for tracker in request.trackers:
        check_tracker(tracker)
    file = find_experiment_file(request.path)
    paths = ExperimentPaths(file.parent, file.stem.removeprefix("experiment_"))
    people = screen.human_console(json=request.json)
    variables = request.choice.variables or tracker_variables()
    variables.keep_secret()
    choice = replace(request.choice, variables=variables)
    tellings = assignments(paths, request.trackers, choice, follows=False)
    for assignment in tellings:
        _check_is_there(assignment)
    told, code = _tell_all(tellings, people)
    _settle(paths)
    if request.json:
        write_object({"experiment_id": paths.experiment_id, "trackers": told, "exit_code": code})
    return code


def _tell_all(tellings: list[Assignment], people: Console) -> tuple[dict[str, Any], int]:
    """What became of each telling, as JSON data, and the exit code of them all."""
    told: dict[str, Any] = {}
    codes = [int(ExitCode.COMPLETE)]
    received: list[int] = []
    with stopping(received.append):
        for assignment in tellings:
            people.print(Text(f"uploading to {assignment.tracker} …", style="dim"))
            try:
                outcome = tell_now(assignment, lambda: bool(received))
            except ExperimentsError as error:
                told[assignment.tracker] = {"complete": False, "error": described(error)}
                codes.append(error.exit_code)
                if not received:
                    warn(f"{assignment.tracker}: {error}")
            else:
                told[assignment.tracker] = _as_json(outcome)
                _print(people, outcome)
            if received:
                raise Stopped(received[0])
    return told, max(codes)


def _check_is_there(assignment: Assignment) -> None:
    """Refuse what can be told no more, because only trackers have it.

    Raises:
        UsageError: naming where it is.
    """
    paths, tracker = assignment.paths, assignment.tracker
    entry = read_ledger(paths.ledger).get(tracker, TrackerEntry())
    is_told = entry.options == assignment.options.to_dict()
    if not paths.elsewhere.is_file() or (is_told and entry.state is TellingState.COMPLETE):
        return
    offline = [line for name, line in told_lines(paths) if name == tracker]
    raise UsageError(
        f"cannot upload to {tracker}: metrics and models were uploaded elsewhere and are no longer "
        "kept here",
        where=str(paths.elsewhere),
        remedy=offline[0] if offline else "look for them where that file says",
    )


def _settle(paths: ExperimentPaths) -> None:
    """Bring manifest and storage in line, unless somebody works on the experiment just now."""
    with suppress(ExperimentLockedError), FileLock(paths.lock, patience_seconds=0.0):
        write_manifest(paths)
        experiment = stored.read(paths)
        if experiment.runs and all(run.get("status") in SETTLED for run in experiment.runs):
            storage = Storage(experiment.config.get("storage", Storage.STANDARD))
            keep_what_is_kept(paths, storage, experiment.config.get("trackers", ()))


def _print(people: Console, told: Told) -> None:
    runs = plural(len(told.runs), "run")
    if told.records or told.finished:
        news = f"{plural(told.records, 'record')}, {plural(told.finished, 'conclusion')}"
        people.print(Text(f"{told.tracker}: {runs}: {news} uploaded"))
    else:
        people.print(Text(f"{told.tracker}: {runs} already uploaded, nothing is new"))
    for run, entry in sorted(told.runs.items()):
        if entry.url:
            people.print(Text(f"  {run.name}  {printable(entry.url)}"), soft_wrap=True)


def _as_json(told: Told) -> dict[str, Any]:
    return {
        "complete": True,
        "records": told.records,
        "runs": {
            run.name: {"remote_id": entry.remote_id, "url": entry.url}
            for run, entry in sorted(told.runs.items())
        },
    }
