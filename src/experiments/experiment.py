"""An experiment: the question, its runs, its results, its saved form, its comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from .analysis import aggregate, compare
from .analysis.aborted import with_abort
from .analysis.sequential_verdict import compare_in_looks
from .config import (
    Audit,
    Configuration,
    ExperimentConfig,
    audit,
    checkpointed_every,
    new_experiment_id,
    parse_experiment,
)
from .domain.errors import ExperimentsError, StorageError, UsageError
from .domain.life import Life
from .domain.paths import DEFAULT_OUTPUT_DIR, ExperimentPaths, check_experiment_id
from .domain.records import ExperimentStatus, RunKey, TrainingResult
from .domain.verdicts import Comparison, DecisionRule, Floor
from .durability.files import publishing, read_json, write_json
from .durability.lock import check_locks, wait_for_lock
from .durability.saved_experiments import (
    FORMAT_VERSION,
    SavedResult,
    check_saved,
    existing_error,
    find_experiment_file,
    read_result,
    results_inside,
    write_result,
)
from .planning.design import design_of
from .planning.design_changes import DesignChanges, check_seeds
from .planning.looks_taken import LooksTaken
from .planning.planned_runs import PlannedRuns
from .planning.run_warnings import run_warnings

TAKING_SECONDS = 1.5
"""In which an orchestrator that has made the directory takes its lock, also on a busy machine."""
CONDITIONS = (
    "recovery",
    "resource_limits",
    "hang_seconds",
    "checkpoint",
    "trackers",
    "storage",
    "accelerate",
)
"""Keys of the file that may change while an experiment exists: they change no bit of any run."""
DESIGN = ("comparison", "early_abort", "seeds", "hypothesis", "comment", "tags")
"""Keys that define the question; a change after the first run weakens the answer."""


class Experiment(PlannedRuns):
    """A baseline, a variant and a hypothesis; nothing is written before `save`.

    Args:
        baseline_config: a `Configuration`, or a mapping of the same keys.
        variant_config: the same; a mapping may extend the baseline (``{"extends": "baseline"}``).
        hypothesis: what is expected, in words.
        experiment_id: by default a readable one, made from hypothesis, time and content.
        output_dir: the directory that holds the experiments.
        seeds: the seeds of both arms, or how many; by default the arms' own single seed.
        environment_modules: modules that may be imported because they register environments.
        settings: further keys of the experiment file, such as ``evaluation={"episodes": 20}``.

    Raises:
        ConfigurationError: when the configuration is refused.
        UsageError: when the id is not allowed.
    """

    def __init__(
        self,
        baseline_config: Configuration | Mapping[str, Any],
        variant_config: Configuration | Mapping[str, Any],
        hypothesis: str,
        *,
        experiment_id: str | None = None,
        output_dir: Path | str = DEFAULT_OUTPUT_DIR,
        seeds: int | Sequence[int] | None = None,
        environment_modules: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        document = {
            "hypothesis": hypothesis,
            "baseline_config": _as_mapping(baseline_config),
            "variant_config": _as_mapping(variant_config),
            **({"experiment_id": experiment_id} if experiment_id is not None else {}),
            **(
                {} if seeds is None else {"seeds": seeds if isinstance(seeds, int) else list(seeds)}
            ),
            **settings,
        }
        config = parse_experiment(document, environment_modules=tuple(environment_modules))
        self._begin(config, output_dir, {})

    @classmethod
    def from_config(
        cls,
        config: ExperimentConfig,
        output_dir: Path | str = DEFAULT_OUTPUT_DIR,
        *,
        seed_offsets: Mapping[str, int] | None = None,
    ) -> Self:
        """An experiment from a file that was read and checked.

        Args:
            config: the file.
            output_dir: the directory that holds the experiments.
            seed_offsets: what is added to the seeds of an arm; so that two equal arms share none.
        """
        experiment = cls.__new__(cls)
        experiment._begin(config, output_dir, dict(seed_offsets or {}))
        return experiment

    @classmethod
    def load(cls, path: Path | str, *, environment_modules: Sequence[str] = ()) -> Self:
        """A saved experiment, from its directory or its ``experiment_{id}.json``.

        Raises:
            StorageError: when there is none or it cannot be read.
        """
        file = find_experiment_file(Path(path))
        saved = read_json(file)
        try:
            offsets = saved.get("seed_offsets", {})
            config = parse_experiment(
                saved["config"],
                source=str(file),
                environment_modules=tuple(environment_modules),
                arms_may_be_equal=bool(offsets),
            )
            experiment = cls.from_config(config, file.parent.parent, seed_offsets=offsets)
            check_saved(saved, experiment.experiment_id, file)
            experiment._restore(saved)
        except ExperimentsError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"not a saved experiment ({error!r})",
                where=str(file),
                remedy="restore the file from a copy",
            ) from error
        return experiment

    def _begin(
        self, config: ExperimentConfig, output_dir: Path | str, seed_offsets: dict[str, int]
    ) -> None:
        self.life = Life()
        identifier = config.experiment_id or new_experiment_id(
            config.hypothesis, config.arms, datetime.fromisoformat(self.life.created_at)
        )
        self.experiment_id = check_experiment_id(identifier)
        self.config = config.model_copy(update={"experiment_id": identifier})
        self.output_dir = Path(output_dir)
        self.paths = ExperimentPaths.under(self.output_dir, self.experiment_id)
        self.seed_offsets = seed_offsets
        self._design_for(config)
        self.looks = LooksTaken(self.paths.events, self.design.fingerprint)
        self._changes = DesignChanges()
        self.is_altered = False
        """Whether the design was changed and the consequences are not saved yet."""
        self.results = {}
        self.metrics: dict[RunKey, dict[str, Any]] = {}
        self._open = set()
        self._is_saved = False
        self._unsaved: set[RunKey] = set()
        """Runs whose result is not in a file of its own yet."""
        self._comparison = None

    def _design_for(self, config: ExperimentConfig) -> None:
        self.design = design_of(config, self.seed_offsets)
        found = audit(config)
        self.audit: Audit = replace(
            found,
            warnings=(*found.warnings, *self.design.warnings),
            notices=(*found.notices, *self.design.notices),
        )

    @property
    def status(self) -> ExperimentStatus:
        """The experiment's current status."""
        return self.life.status

    @property
    def error_message(self) -> str | None:
        """Why it failed; None if it did not."""
        return self.life.error_message

    @property
    def hypothesis(self) -> str:
        """What is expected, in words."""
        return self.config.hypothesis

    @property
    def baseline_config(self) -> Configuration:
        """The baseline, resolved."""
        return self.config.arms["baseline"]

    @property
    def variant_config(self) -> Configuration:
        """The variant, resolved."""
        return self.config.arms["variant"]

    @property
    def experiment_dir(self) -> Path:
        """The directory that holds the experiment's files."""
        return self.paths.root

    @property
    def names_recovery(self) -> bool:
        """Whether the file or a flag names a recovery strategy."""
        return "recovery" in self.config.model_fields_set

    def choose_recovery(self, **settings: Any) -> None:
        """Change what happens when a run fails; this changes no bit of any run.

        Args:
            settings: fields of the file's ``recovery`` that change.
        """
        recovery = self.config.recovery.model_copy(update=settings)
        self.config = self.config.model_copy(update={"recovery": recovery})

    def checkpoint_every(self, timesteps: int) -> None:
        """Set how often runs save their state, unless the file says so, as a saved one does."""
        self.config = checkpointed_every(self.config, timesteps)

    def choose_conditions(self, config: ExperimentConfig) -> None:
        """Adopt the `CONDITIONS` of another version of the file."""
        chosen = {
            name: getattr(config, name)
            for name in CONDITIONS
            if name != "recovery" or name in config.model_fields_set
        }
        before = (self.config.trackers, self.config.storage)
        self.config = self.config.model_copy(update=chosen)
        self.is_altered |= before != (self.config.trackers, self.config.storage)

    def override_design(self, config: ExperimentConfig, changes: Sequence[str]) -> None:
        """Adopt another version's `DESIGN` and added seeds, and keep a permanent record of it.

        Args:
            config: the other version; its arms are the same.
            changes: what it changes, in words.

        Raises:
            UsageError: when it leaves out a seed that is planned now.
        """
        goes_by_order = self.design.goes_by_order or design_of(config, {}).goes_by_order
        check_seeds(self.config.seed_list, config.seed_list, goes_by_order=goes_by_order)
        self.config = self.config.model_copy(
            update={name: getattr(config, name) for name in DESIGN}
        )
        before = self.design
        self._design_for(self.config)
        self.take_floors(before.floors)
        has_other_rule = before.fingerprint != self.design.fingerprint
        self._changes.add(changes, of_the_rule=has_other_rule)
        if has_other_rule:
            self.looks.follow(self.design.fingerprint)
        self._comparison = None
        self.is_altered = True

    @property
    def design_changes(self) -> tuple[str, ...]:
        """Changes of the decision rule or the seeds since the experiment began, in words."""
        return self._changes.told

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the result needs to know.

        What the audit found, how the design was changed later, how runs deviate from their
        configuration or from an undisturbed run.
        """
        changed = (
            f"the design was changed after the experiment began: {each}"
            for each in self.design_changes
        )
        return (*self.audit.warnings, *changed, *run_warnings(self))

    @property
    def rule(self) -> DecisionRule:
        """The decision rule, with what a failed run scores."""
        floors = {arm: floor.return_mean for arm, floor in self.design.floors.items()}
        return replace(self.design.rule, floors=floors)

    def take_floors(self, floors: Mapping[str, Floor]) -> None:
        """Set the random policy's return by arm, which failing runs score."""
        self.design = replace(self.design, floors=dict(floors))
        self._comparison = None

    def begin(self) -> None:
        """Start, or continue after a pause, a failure or a kill, and save."""
        if self.status is not ExperimentStatus.RUNNING:
            self.start()
        self.save()

    def start(self) -> None:
        """Start, or start again after a failure."""
        self.life.start()

    def pause(self) -> None:
        """Stop for now; `resume` continues."""
        self.life.pause()

    def resume(self) -> None:
        """Continue after `pause`."""
        self.life.start()

    def stop(self, failed: bool = False, error_message: str | None = None) -> None:
        """End the experiment, as completed or as failed."""
        self.life.stop(failed, error_message)

    def add_result(
        self,
        config_type: str,
        results: TrainingResult | Mapping[str, Any],
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the result of one run of an arm; a later result of the same seed replaces it.

        `save_result` or `save` writes it.

        Args:
            config_type: the arm.
            results: a `TrainingResult`, or some of its fields; the rest comes from the arm.
            metrics: further numbers, kept as they are.

        Raises:
            ValueError: for an unknown arm, seed or field.
        """
        result = self._as_result(self.check_arm(config_type), results)
        seeds = self.design.seeds[config_type]
        if result.seed is None or result.seed not in seeds:
            raise UsageError(f"seed {result.seed} is not one of {list(seeds)}")
        run = RunKey(config_type, result.seed)
        self._open.discard(run)
        self.results[run] = result
        self.metrics[run] = dict(metrics or {})
        self._unsaved.add(run)
        self._comparison = None

    def arm_result(self, arm: str) -> TrainingResult | None:
        """An arm's aggregate over its seeds; None before its first result."""
        results = self.results_of(arm)
        return aggregate(arm, results) if results else None

    @property
    def comparison(self) -> Comparison:
        """The verdict on the results so far; a planned run without one is counted as missing.

        Computed once for the same results: a permutation test over many seeds takes a second.
        """
        if self._comparison is None:
            self._comparison = self._compare()
        return self._comparison

    def _compare(self) -> Comparison:
        results = {arm: self.planned_results_of(arm) for arm in self.config.arms}
        plan = self.design.plan
        found = (
            compare(results, self.rule)
            if plan is None
            else compare_in_looks(results, self.rule, plan)
        )
        aborted = self.looks.aborted_by
        if aborted is not None:
            found = with_abort(found, aborted, self._complete_per_arm(), self.design.seeds_per_arm)
        if self._changes.weaken_the_answer:
            sentence = f"{found.sentence} The design was changed after the experiment began."
            return replace(found, sentence=sentence)
        return found

    def _complete_per_arm(self) -> dict[str, int]:
        complete = self.complete_runs()
        return {arm: sum(run.arm == arm for run in complete) for arm in self.config.arms}

    def compare_results(self) -> dict[str, Any]:
        """The verdict on the results so far, as `results.json` holds it."""
        return self.comparison.to_dict()

    def check_arm(self, config_type: str) -> str:
        """Return the name if it is an arm's.

        Raises:
            ValueError: when it is not.
        """
        if config_type not in self.config.arms:
            allowed = ", ".join(repr(arm) for arm in self.config.arms)
            raise UsageError(f"config_type {config_type!r} is unknown", remedy=f"use {allowed}")
        return config_type

    def save(self) -> Path:
        """Write ``experiment_{id}.json``; the directory appears with it inside, by one rename.

        Results that are in no file yet go before, each into a file of its own.
        """
        self.publish()
        self._write_results(self.paths)
        self._unsaved.clear()
        self._changes.tell(self.looks)
        write_json(self.paths.experiment, self._saved_form())
        self.is_altered = False
        return self.paths.experiment

    def save_result(self, run: RunKey) -> Path:
        """Write only one run's result: the cost does not depend on the other runs.

        Raises:
            KeyError: when the run has no result.
            StorageError: when the disk refuses.
        """
        saved = self._saved_result(run)
        self.publish()
        path = self.paths.run(run).result
        if run in self._unsaved:
            write_result(path, run, saved)
            self._unsaved.discard(run)
        return path

    def _write_results(self, paths: ExperimentPaths) -> None:
        """Write the results that are not in a file yet."""
        for run in sorted(self._unsaved):
            write_result(paths.run(run).result, run, self._saved_result(run))

    def _saved_result(self, run: RunKey) -> SavedResult:
        return SavedResult(self.results[run], self.metrics.get(run, {}))

    def publish(self) -> None:
        """Create the directory of a new experiment; one that was saved or loaded has it already.

        Raises:
            UsageError: when another experiment of this id is there already.
            ExperimentLockedError: when another process works on it.
            StorageError: when the disk refuses, or has no locks.
        """
        if self._is_saved:
            return
        if self.paths.experiment.exists():
            wait_for_lock(self.paths.lock, TAKING_SECONDS)  # by who made it since we looked
            raise existing_error(self.paths)
        check_locks(self.output_dir)  # without them nobody could go on with what is there
        try:
            with publishing(self.paths.root) as scratch:
                paths = ExperimentPaths(scratch, self.experiment_id)
                self._write_results(paths)
                write_json(paths.experiment, self._saved_form())
        except FileExistsError as error:
            wait_for_lock(self.paths.lock, TAKING_SECONDS)  # by whoever was faster
            raise existing_error(self.paths) from error
        self._unsaved.clear()
        self._is_saved = True

    def reload(self) -> None:
        """Adopt what another process saved since this experiment was loaded."""
        self._restore(read_json(self.paths.experiment))

    def saved_config(self) -> dict[str, Any]:
        """The full, resolved experiment file."""
        document = self.config.model_dump(mode="json", by_alias=True)
        if not self.names_recovery:
            del document["recovery"]  # so that a subclass's own default still holds when continued
        return document

    def _saved_form(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "experiment_id": self.experiment_id,
            "hypothesis": self.hypothesis,
            **self.life.to_dict(),
            "config": self.saved_config(),
            "design": self.design.to_dict(),
            **({"seed_offsets": self.seed_offsets} if self.seed_offsets else {}),
            "audit": asdict(self.audit),
            "design_changes": list(self.design_changes),
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what was saved; a run's own file is newer than what format 1 holds of it."""
        self.life = Life.from_dict(saved)
        floors = saved.get("design", {}).get("floors", {})
        self.take_floors({arm: Floor(**floor) for arm, floor in floors.items()})
        self._note_edited_design(saved)
        self.looks.read()
        self._changes.restore(saved.get("design_changes", ()))
        inside = results_inside(saved)
        own = {
            run: found
            for run in self.runs()
            if (found := read_result(self.paths.run(run).result, run)) is not None
        }
        known = inside | own
        self.results = {run: each.result for run, each in known.items()}
        self.metrics = {run: dict(each.metrics) for run, each in known.items()}
        self._unsaved = inside.keys() - own.keys()
        self._comparison = None
        self._is_saved = True

    def _note_edited_design(self, saved: Mapping[str, Any]) -> None:
        """Record that what was fixed before the first run is not what the file asks for now."""
        fixed = saved.get("design", {}).get("fingerprint", self.design.fingerprint)
        if fixed != self.design.fingerprint and not self._changes.are_to_be_told:
            change = "the file was edited, or another version plans its looks differently"
            self._changes.add([change], of_the_rule=True)
            self.is_altered = True

    def _as_result(self, arm: str, results: TrainingResult | Mapping[str, Any]) -> TrainingResult:
        if isinstance(results, TrainingResult):
            return results if results.arm == arm else replace(results, arm=arm)
        blank = self._blank_result(RunKey(arm, self.design.seeds[arm][0]))
        try:
            return TrainingResult.from_dict({**blank.to_dict(), **results, "arm": arm})
        except TypeError as error:
            raise UsageError(f"results of {arm}: {error}") from error


def _as_mapping(config: Configuration | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(config, Configuration):
        return config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return config
