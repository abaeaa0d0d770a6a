"""What `sync` does: one tracker after the other, each in a process that cannot hold it up."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..derived import storage_policy
from ..domain.errors import ExperimentLockedError, ExperimentsError, UsageError, described
from ..domain.paths import ExperimentPaths
from ..durability.lock import FileLock
from ..durability.saved_experiments import find_experiment_file
from ..experiment import Experiment
from ..keeping import keep_what_is_kept
from ..tracking.choosing import TrackingChoice, assignments
from ..tracking.ledger import TellingState, TrackerEntry, read_ledger
from ..tracking.manifest import write_manifest
from ..tracking.registry import check_tracker
from ..tracking.telling import Assignment, Told
from ..uploads import tell_now
from . import screen
from .displays import warn
from .failures import ExitCode
from .json_output import write_object
from .signals import Stopped, stopping
from .told import told_lines
from .wording import plural, printable


@dataclass(frozen=True)
class SyncRequest:
    """A command line that asks for an experiment to be told."""

    path: Path
    trackers: tuple[str, ...]
    choice: TrackingChoice
    json: bool = False
    verbosity: int = 0


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
    told: dict[str, Any] = {}
    received: list[int] = []
    with stopping(received.append):
        for assignment in assignments(paths, request.trackers, request.choice, follows=False):
            _check_is_there(assignment)
            people.print(Text(f"telling {assignment.tracker} …", style="dim"))
            try:
                outcome = tell_now(assignment, lambda: bool(received))
            except ExperimentsError as error:
                told[assignment.tracker] = {"complete": False, "error": described(error)}
                if not received:
                    warn(f"{assignment.tracker}: {error}")
            else:
                told[assignment.tracker] = _as_json(outcome)
                _print(people, outcome)
            if received:
                raise Stopped(received[0])
    _settle(paths)
    is_complete = all(each["complete"] for each in told.values())
    code = ExitCode.COMPLETE if is_complete else ExitCode.UNTOLD
    if request.json:
        write_object({"experiment_id": paths.experiment_id, "trackers": told, "exit_code": code})
    return code


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
        f"{tracker} cannot be told: metrics and models were uploaded and are not kept here",
        where=str(paths.elsewhere),
        remedy=offline[0] if offline else "look for them where that file says",
    )


def _settle(paths: ExperimentPaths) -> None:
    """Bring manifest and storage in line, unless somebody works on the experiment just now."""
    with suppress(ExperimentLockedError), FileLock(paths.lock, patience_seconds=0.0):
        experiment = Experiment.load(paths.root)
        write_manifest(paths)
        if not experiment.unfinished_runs():
            policy = storage_policy(experiment)
            keep_what_is_kept(paths, policy.storage, experiment.config.trackers)


def _print(people: Console, told: Told) -> None:
    runs = plural(len(told.runs), "run")
    if told.records or told.finished:
        news = f"{plural(told.records, 'record')}, {plural(told.finished, 'conclusion')}"
        people.print(Text(f"{told.tracker}: {runs}: {news} told"))
    else:
        people.print(Text(f"{told.tracker}: {runs} told already, nothing is new"))
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
