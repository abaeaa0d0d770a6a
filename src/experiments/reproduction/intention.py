"""What is to be reproduced, and what speaks against its coming out the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError, UsageError
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey, RunStatus
from ..durability.files import read_json
from ..durability.journal import Records
from ..provenance import Recorded, read_provenance
from .versions import Surroundings, replayed, surroundings

_SHORT = 12
"""Digits by which a commit is known."""
_LOCAL_ALONE = {"trackers": [], "storage": "standard"}
"""What a reproduction changes in the file: no bit of training depends on it."""


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    original: ExperimentPaths
    folder: Path
    """A temporary one; it exists."""
    results: Path
    """Where the reproduction is to lie."""
    repository: Path
    """A directory of the repository that has the commit."""
    seeds: tuple[int, ...] = ()
    """Those to train again; none is all."""
    modules: tuple[str, ...] = ()
    """Modules that were allowed, where they were not recorded."""
    options: tuple[str, ...] = ()
    """Of the runner: how the runs are carried out."""
    anyway: bool = False
    """Whether other versions are accepted."""
    keeps_code: bool = False

    @property
    def again(self) -> ExperimentPaths:
        """The reproduction's files."""
        return ExperimentPaths.under(self.results, self.original.experiment_id)


@dataclass(frozen=True)
class Intention:
    """What will be done."""

    plan: Plan
    recorded: Recorded
    document: Mapping[str, Any]
    """The experiment file."""
    runs: tuple[RunKey, ...]
    """The complete runs, which are compared."""
    surroundings: Surroundings
    caveats: tuple[str, ...]
    """Why the bits may come out otherwise, for all that is done."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the process that trains."""
        return replayed(self.recorded, os.environ)


def intend(plan: Plan) -> Intention:
    """Find out what reproducing an experiment takes; nothing is written.

    Raises:
        UsageError: when it has no complete run, or was never run.
        StorageError: when its files cannot be read.
    """
    recorded = read_provenance(plan.original)
    unknown = {name: None for name in plan.modules if name not in recorded.modules}
    recorded = replace(recorded, modules={**recorded.modules, **unknown})
    results = _results(plan)
    complete = [
        each
        for each in results
        if each.get("status") == RunStatus.COMPLETED and each.get("analysed", True)
    ]
    if not complete:
        raise UsageError(
            "no run of it is complete",
            where=str(plan.original.results),
            remedy=f"continue it first with --experiment-id {plan.original.experiment_id}",
        )
    runs = tuple(RunKey(each["arm"], each["seed"]) for each in complete)
    document = _document(plan, runs)
    environment = replayed(recorded, os.environ)
    return Intention(
        plan,
        recorded,
        document,
        runs=runs,
        surroundings=surroundings(recorded, document, environment),
        caveats=tuple(_caveats(plan.original, recorded, results)),
    )


def _document(plan: Plan, runs: Sequence[RunKey]) -> dict[str, Any]:
    """The saved experiment file, for the seeds of some runs, without trackers.

    And without rules that end it early: these runs are trained, whatever they come to.
    """
    saved = read_json(plan.original.experiment)
    try:
        document = dict(saved["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"not a saved experiment ({error!r})",
            where=str(plan.original.experiment),
            remedy="restore the file from a copy",
        ) from error
    rule = document.get("comparison") or {}
    ends_early = bool(rule.get("sequential") or document.get("early_abort"))
    if plan.seeds or ends_early:
        document["seeds"] = list(dict.fromkeys(run.seed for run in runs))
    if ends_early:
        document |= {"comparison": {**rule, "sequential": None}, "early_abort": None}
    return document | {name: value for name, value in _LOCAL_ALONE.items() if name in document}


def _results(plan: Plan) -> list[Mapping[str, Any]]:
    """The runs of `results.json`, of the seeds that are asked for."""
    if not plan.original.results.is_file():
        raise UsageError(
            "it has no results yet",
            where=str(plan.original.results),
            remedy=f"continue it first with --experiment-id {plan.original.experiment_id}",
        )
    told = read_json(plan.original.results)
    runs = told.get("runs") if isinstance(told, Mapping) else None
    if not isinstance(runs, list) or not all(isinstance(each, Mapping) for each in runs):
        raise StorageError("it names no runs", where=str(plan.original.results))
    planned = {each["seed"] for each in runs}
    unknown = [str(seed) for seed in plan.seeds if seed not in planned]
    if unknown:
        raise UsageError(
            f"--seed {', '.join(unknown)} is not one of its seeds",
            remedy=f"use some of {', '.join(map(str, sorted(planned)))}",
        )
    return [each for each in runs if not plan.seeds or each["seed"] in plan.seeds]


def _caveats(
    paths: ExperimentPaths, recorded: Recorded, results: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    yield from _of_sessions(recorded)
    for result in results:
        run = RunKey(result["arm"], result["seed"])
        if result.get("status") != RunStatus.COMPLETED:
            yield f"{run.name} was not complete ({result.get('status')}): it is not compared"
            continue
        if result.get("resume") == "approximate":
            yield f"{run.name} was resumed approximately: undisturbed, it may end in different bits"
        for deviation in result.get("deviations") or ():
            yield f"{run.name} deviates from its configuration: {deviation}"
        if not paths.run(run).journal.is_file():
            yield f"{run.name} has no journal here: only its final parameters are compared"
        device = _device(paths, run)
        if not device.startswith("cpu"):
            yield f"{run.name} was trained on {device}, where operations may differ in last bits"


def _of_sessions(recorded: Recorded) -> Iterator[str]:
    """Whether other code had a part in it when it was continued."""
    code = recorded.code
    first = (code.commit if code else None, recorded.program.get("sha256"))
    for session in recorded.continued:
        later = (session.get("commit"), session.get("program_sha256", first[1]))
        if later != first:
            commit = str(session.get("commit") or "no commit")[:_SHORT]
            yield f"it was continued at {session.get('time')} with other code ({commit})"


def _device(paths: ExperimentPaths, run: RunKey) -> str:
    started = (each for each in Records(paths.run(run).journal) if each["kind"] == "started")
    return str(next(started, {}).get("device", "cpu"))
