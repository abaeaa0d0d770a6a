"""Experiments as they lie on disk, read without trusting them; nothing is written."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError, UsageError
from ..domain.paths import EXPERIMENT_ID, ExperimentPaths, check_experiment_id
from ..domain.records import ExperimentStatus, RunKey
from ..durability.files import read_json
from ..durability.journal import first_record
from ..durability.lock import is_locked

Data = Mapping[str, Any]

ARMS = ("baseline", "variant")
STOPPED = "stopped"
"""What an experiment is called whose process died."""
UNREADABLE = "unreadable"
"""What an experiment is called whose file is damaged."""
_MOST_SEEDS = 10_000
"""A file that asks for more was not checked when it was read."""


@dataclass(frozen=True)
class StoredExperiment:
    """What the files of one experiment say; empty mappings where they say nothing."""

    paths: ExperimentPaths
    experiment: Data = field(default_factory=dict)
    results: Data = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    is_abandoned: bool = False
    """Whether it says that it is running while no process works on it."""

    @property
    def runs(self) -> Sequence[Data]:
        """The runs of `results.json`."""
        return [run for run in _list(self.results.get("runs")) if isinstance(run, Mapping)]

    @property
    def is_final(self) -> bool:
        """Whether `results.json` tells of the experiment as it is now."""
        return self.results.get("status") == self.status

    @property
    def not_needed(self) -> Sequence[Data]:
        """The runs of `results.json` without which a rule has ended the experiment."""
        return [run for run in self.runs if not run.get("analysed", True)] if self.is_final else []

    @property
    def comparison(self) -> Data:
        """The comparison of `results.json`."""
        comparison = self.results.get("comparison")
        return comparison if isinstance(comparison, Mapping) else {}

    @property
    def status(self) -> str:
        """The experiment's status; ``stopped`` if its process died, ``unreadable`` if damaged."""
        return STOPPED if self.is_abandoned else _status(self.experiment)

    @property
    def hypothesis(self) -> str:
        """What is expected, in words; empty where nothing was written."""
        return str(self.experiment.get("hypothesis") or "")

    @property
    def comment(self) -> str:
        """Whatever seemed worth remembering; empty where nothing was written."""
        return str(self.config.get("comment") or "")

    @property
    def tags(self) -> Sequence[str]:
        """The words to find it by."""
        return [str(tag) for tag in _list(self.config.get("tags"))]

    @property
    def error_message(self) -> str:
        """Why the experiment failed; empty where it did not."""
        return str(self.experiment.get("error_message") or "")

    @property
    def created(self) -> str:
        """When the experiment was made, in ISO 8601."""
        return str(self.experiment.get("created_at") or "")

    @property
    def config(self) -> Data:
        """The resolved experiment file, as it was saved."""
        return _mapping(self.experiment.get("config"))

    def arm_config(self, arm: str) -> Data:
        """What the resolved file says of an arm."""
        return _mapping(self.config.get(f"{arm}_config"))

    def environment_of(self, arm: str) -> str:
        """The environment that really runs, as far as it is known; else as it was written."""
        told = _mapping(_mapping(self.results.get("arms")).get(arm)).get("environment")
        return str(told or self._begun_environment(arm) or self._written_environment(arm))

    @property
    def algorithms(self) -> Sequence[str]:
        """The arms' algorithms, each once."""
        written = (self.arm_config(arm).get("algorithm") for arm in ARMS)
        return list(dict.fromkeys(str(name) for name in written if name))

    @property
    def environments(self) -> Sequence[str]:
        """The arms' environments, each once: as they were written and as they really run."""
        written = [self._written_environment(arm) for arm in ARMS]
        real = [self.environment_of(arm) for arm in ARMS]
        return [name for name in dict.fromkeys([*written, *real]) if name]

    def _written_environment(self, arm: str) -> str:
        return str(self.arm_config(arm).get("environment") or "")

    def _begun_environment(self, arm: str) -> Any:
        """What the arm's first run told when it began."""
        for seed in (self._seeds_of(arm) or ())[:1]:
            return first_record(self.paths.run(RunKey(arm, seed)).journal).get("environment")
        return None

    @property
    def differences(self) -> Sequence[Data]:
        """The resolved difference between the arms that the audit recorded."""
        audit = self.experiment.get("audit")
        found = _list(audit.get("differences")) if isinstance(audit, Mapping) else []
        return [difference for difference in found if isinstance(difference, Mapping)]

    @property
    def design(self) -> Data:
        """What was fixed before the first run; empty where the file does not say."""
        return _mapping(self.experiment.get("design"))

    @property
    def runs_planned(self) -> int | None:
        """Arms times seeds, without those that were not needed; None where the file is silent."""
        seeds = [self._seeds_of(arm) for arm in ARMS]
        if None in seeds:
            return None
        return sum(len(each or ()) for each in seeds) - len(self.not_needed)

    @property
    def planned_timesteps(self) -> Mapping[RunKey, int]:
        """The planned runs, arm by arm, with the timesteps that were asked for; rounding is not."""
        return {
            RunKey(arm, seed): _whole(self.arm_config(arm).get("training_steps"))
            for arm in ARMS
            for seed in self._seeds_of(arm) or ()
        }

    def _seeds_of(self, arm: str) -> Sequence[int] | None:
        """The planned seeds; None where the files do not say."""
        told = _mapping(self.design.get("seeds")).get(arm)
        if isinstance(told, list):
            return [_whole(seed) for seed in told]
        config = self.experiment.get("config")
        if not isinstance(config, Mapping):
            return None
        first = _whole(_mapping(config.get("baseline_config")).get("seed"))
        match config.get("seeds"):
            case list() as seeds:
                return [_whole(seed) for seed in seeds]
            case int() as count:
                return range(first, first + count) if count <= _MOST_SEEDS else None
            case _:
                return [first]

    @property
    def runs_done(self) -> int:
        """How many of them are complete, by the results or, before these are there, the models."""
        complete = [run for run in self.runs if run.get("status") == "completed"]
        if not self.is_final:
            return max(len(complete), _final_models(self.paths))
        return len([run for run in complete if run.get("analysed", True)])


def experiment_ids(output_dir: Path) -> list[str]:
    """The ids of all experiments below a directory, sorted; none where it does not exist."""
    return [
        each
        for each in possible_ids(output_dir)
        if ExperimentPaths.under(output_dir, each).experiment.is_file()
    ]


def possible_ids(output_dir: Path) -> list[str]:
    """The names below a directory that an experiment can have, sorted."""
    try:
        names = os.listdir(output_dir)  # noqa: PTH208 - a thousand names: cheaper
    except FileNotFoundError:
        return []
    return sorted(name for name in names if EXPERIMENT_ID.fullmatch(name))


def find(output_dir: Path, experiment_id: str) -> ExperimentPaths:
    """The paths of an experiment that exists.

    Raises:
        UsageError: when there is none of this id, naming the nearest that there are.
    """
    paths = ExperimentPaths.under(output_dir, check_experiment_id(experiment_id))
    if not paths.experiment.is_file():
        raise UsageError(
            f"no experiment {experiment_id} exists",
            where=f"--output-dir {output_dir}",
            remedy=_nearest(experiment_id, experiment_ids(output_dir)),
        )
    return paths


def read(paths: ExperimentPaths) -> StoredExperiment:
    """What the files of an experiment say; what cannot be read becomes a problem, not an error."""
    problems: list[str] = []
    experiment = _read_mapping(paths.experiment, problems)
    is_free = _is_running(experiment) and not is_locked(paths.lock)
    if is_free:  # it may have come to its end in between: its last word counts
        problems.clear()
        experiment = _read_mapping(paths.experiment, problems)
    results = _read_mapping(paths.results, problems) if paths.results.exists() else {}
    is_abandoned = is_free and _is_running(experiment)
    return StoredExperiment(paths, experiment, results, tuple(problems), is_abandoned)


def _read_mapping(path: Path, problems: list[str]) -> Data:
    try:
        value = read_json(path)
    except StorageError as error:
        problems.append(str(error))
        return {}
    except RecursionError:
        problems.append(f"{path}: nested too deeply")
        return {}
    if isinstance(value, Mapping):
        return value
    problems.append(f"{path}: not a JSON object")
    return {}


def _nearest(experiment_id: str, existing: Sequence[str]) -> str:
    matches = difflib.get_close_matches(experiment_id, existing, n=3, cutoff=0.4)
    near = f"did you mean {', '.join(matches)}? " if matches else ""
    return f"{near}--config FILE starts a new experiment; `experiments list` shows what there is"


def _final_models(paths: ExperimentPaths) -> int:
    try:
        return sum(entry.suffix == ".zip" for entry in paths.models.iterdir())
    except FileNotFoundError:
        return 0


def _status(experiment: Data) -> str:
    return str(experiment.get("status", UNREADABLE))


def _is_running(experiment: Data) -> bool:
    return _status(experiment) == ExperimentStatus.RUNNING.value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Data:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
