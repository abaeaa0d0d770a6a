"""All experiments below a directory, each as one entry of the list, without reading all files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.paths import ExperimentPaths
from ..domain.records import ExperimentStatus
from ..durability.experiment_index import ExperimentIndex, Stamp, stamp_of
from . import stored

FORM = "overview-2"
"""Names what an `Overview` tells; a new name for each change of its fields or of their meaning."""


@dataclass(frozen=True)
class Overview:
    """One experiment as an entry of the list."""

    experiment_id: str
    status: str
    verdict: str | None
    runs_done: int
    runs: int | None
    """Planned ones that were needed; None where the file does not say."""
    runs_not_needed: int
    """Planned ones without which a rule has ended the experiment."""
    created: str
    hypothesis: str
    comment: str
    tags: tuple[str, ...]
    algorithms: tuple[str, ...]
    environments: tuple[str, ...]
    """Ids as they were written, and those that really run."""
    problems: tuple[str, ...]

    @classmethod
    def from_data(cls, data: Mapping[str, Any], experiment_id: str) -> Overview | None:
        """The entry that a file holds; None where it is another's, or none."""
        if data.keys() != _CHECKS.keys() or data["experiment_id"] != experiment_id:
            return None
        if not all(is_so(data[name]) for name, is_so in _CHECKS.items()):
            return None
        told: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**told)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_count(value: Any) -> bool:
    return type(value) is int


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "experiment_id": _is_text,
    "status": _is_text,
    "verdict": lambda value: value is None or _is_text(value),
    "runs_done": _is_count,
    "runs": lambda value: value is None or _is_count(value),
    "runs_not_needed": _is_count,
    "created": _is_text,
    "hypothesis": _is_text,
    "comment": _is_text,
    "tags": _is_texts,
    "algorithms": _is_texts,
    "environments": _is_texts,
    "problems": _is_texts,
}


def overviews(output_dir: Path) -> list[Overview]:
    """The entries of all experiments below a directory, by id.

    Those that have come to rest are taken from the index while their files are the same; the others
    are read each time, and so are their locks and models, which tell how far they are.
    """
    index = ExperimentIndex(output_dir, FORM)
    found = [
        _overview(paths, stamp, index)
        for experiment_id in stored.possible_ids(output_dir)
        if (stamp := stamp_of(paths := ExperimentPaths.under(output_dir, experiment_id)))
    ]
    index.save()
    return found


def _overview(paths: ExperimentPaths, stamp: Stamp, index: ExperimentIndex) -> Overview:
    kept = index.get(paths.experiment_id, stamp)
    overview = Overview.from_data(kept, paths.experiment_id) if kept is not None else None
    if overview is not None:
        return overview
    experiment = stored.read(paths)
    overview = overview_of(experiment)
    if has_come_to_rest(experiment):
        index.put(paths.experiment_id, stamp, vars(overview))
    return overview


def has_come_to_rest(experiment: stored.StoredExperiment) -> bool:
    """Whether its two files alone say all that the list tells, until one of them is replaced.

    While an experiment runs, and after a kill, the lock and the models say more. Where a file could
    not be read, which may change without a change of the file, the two do not say the same.
    """
    return experiment.is_final and experiment.status not in (
        ExperimentStatus.RUNNING.value,
        stored.STOPPED,
        stored.UNREADABLE,
    )


def overview_of(experiment: stored.StoredExperiment) -> Overview:
    """What the list tells of one experiment."""
    verdict = experiment.comparison.get("verdict")
    return Overview(
        experiment_id=experiment.paths.experiment_id,
        status=experiment.status,
        verdict=str(verdict) if verdict else None,
        runs_done=experiment.runs_done,
        runs=experiment.runs_planned,
        runs_not_needed=len(experiment.not_needed),
        created=experiment.created,
        hypothesis=experiment.hypothesis,
        comment=experiment.comment,
        tags=tuple(experiment.tags),
        algorithms=tuple(experiment.algorithms),
        environments=tuple(experiment.environments),
        problems=experiment.problems,
    )
