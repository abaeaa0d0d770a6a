"""From a command line to an `Experiment`: a new one from a file, or one that exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config import ExperimentConfig, load_experiment_file, with_overrides
from ..domain.errors import ConfigurationError, Problem, UsageError
from ..domain.paths import ExperimentPaths
from ..durability.saved_experiments import existing_error
from ..experiment import CONDITIONS, DESIGN, Experiment
from . import stored, wording
from .arguments import check_overrides, override

SHOWN_CHANGES = 5


@dataclass(frozen=True)
class Question:
    """Which experiment is meant, and what the command line changes in it."""

    config: Path | None
    experiment_id: str | None
    output_dir: Path
    overrides: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    """The flag that an override stands for, by the JSON pointer of the value."""
    tags: tuple[str, ...] = ()
    recovery: Mapping[str, Any] = field(default_factory=dict)
    """What flags say of recovery; it may change when an experiment is continued."""
    environment_modules: tuple[str, ...] = ()
    fallback_tracker: str | None = None
    """A tracker that is told where Weights & Biases is not."""
    resume: bool = False
    override_design: bool = False
    """Whether the decision rule and the seeds of an experiment that exists may change."""


def open_experiment(question: Question) -> Experiment:
    """The experiment that is meant; nothing is written.

    Raises:
        UsageError: when the options contradict each other or what exists.
        ConfigurationError: when the file is refused.
    """
    if (question.config is None) == (question.experiment_id is None):
        given = "neither --config nor" if question.config is None else "both --config and"
        raise UsageError(
            f"{given} --experiment-id given",
            remedy="--config FILE starts an experiment, --experiment-id ID continues one",
        )
    if question.experiment_id is not None:
        return _existing(question, question.experiment_id)
    return open_config(question, load(question))


def open_config(
    question: Question, config: ExperimentConfig, seed_offsets: Mapping[str, int] | None = None
) -> Experiment:
    """The experiment that a checked file describes: a new one, or with `resume` one that exists.

    Raises:
        UsageError: when one exists and is not meant to go on, or was another one.
    """
    if config.experiment_id is not None:
        paths = ExperimentPaths.under(question.output_dir, config.experiment_id)
        if paths.experiment.exists():
            return _resumed(question, config, paths)
    return Experiment.from_config(config, question.output_dir, seed_offsets=seed_offsets)


def check_workers(max_workers: int) -> None:
    """Refuse fewer than one worker.

    Raises:
        UsageError: naming the option.
    """
    if max_workers < 1:
        raise UsageError(
            f"--max-workers must be at least 1, got {max_workers}", remedy="use --max-workers 1"
        )


def load(question: Question) -> ExperimentConfig:
    """The experiment file with its overrides, checked; tags are added to the file's own.

    Raises:
        ConfigurationError: with everything that is wrong; what a flag got wrong names the flag.
    """
    try:
        return _load(question)
    except ConfigurationError as error:
        if not question.flags:
            raise
        raise _by_flags(error, question.flags) from error


def _load(question: Question) -> ExperimentConfig:
    check_overrides(question.overrides)
    if question.config is None:
        raise UsageError("no experiment file given", remedy="name it: experiments validate FILE")
    overrides = [*question.overrides, *(override("tags+", tag) for tag in question.tags)]
    modules = question.environment_modules
    config = load_experiment_file(question.config, overrides, environment_modules=modules)
    more = _fallback(question, config)
    if not more:
        return config
    return load_experiment_file(question.config, overrides + more, environment_modules=modules)


def _by_flags(error: ConfigurationError, flags: Mapping[str, str]) -> ConfigurationError:
    """Where nothing is wrong beside what flags say, no file is to blame."""
    problems = list(dict.fromkeys(_by_flag(problem, flags) for problem in error.problems))
    are_typed = all(problem.pointer in flags.values() for problem in problems)
    return ConfigurationError(problems, source=None if are_typed else error.source)


def _by_flag(problem: Problem, flags: Mapping[str, str]) -> Problem:
    for pointer, flag in flags.items():
        if f"{problem.pointer}/".startswith(f"{pointer}/"):
            return replace(problem, pointer=flag)
    return problem


def _fallback(question: Question, config: ExperimentConfig) -> list[str]:
    """The override that has the fallback told, where nothing else stands in its place."""
    tracker = question.fallback_tracker
    is_wanted = tracker and not {tracker, "wandb"} & set(config.trackers)
    return [override("trackers+", tracker)] if is_wanted else []


def _existing(question: Question, experiment_id: str) -> Experiment:
    changeable = (*CONDITIONS, *(DESIGN if question.override_design else ()))
    if question.tags or not all(_key(each) in changeable for each in question.overrides):
        raise UsageError(
            "an experiment that exists cannot be changed",
            where=f"--experiment-id {experiment_id}",
            remedy="leave out the options that describe or configure it; --set may change only "
            + ", ".join(changeable),
        )
    paths = stored.find(question.output_dir, experiment_id)
    modules = question.environment_modules
    experiment = Experiment.load(paths.root, environment_modules=modules)
    overrides = [*question.overrides, *_fallback(question, experiment.config)]
    if overrides:
        saved = experiment.saved_config()
        changed = with_overrides(saved, overrides, environment_modules=modules)
        experiment.choose_conditions(changed)
        altered = list(_altered(experiment.config, changed))
        if altered:
            experiment.override_design(changed, altered)
    if question.recovery:
        experiment.choose_recovery(**question.recovery)
    return experiment


def _resumed(question: Question, config: ExperimentConfig, paths: ExperimentPaths) -> Experiment:
    if not question.resume:
        raise existing_error(paths)
    existing = Experiment.load(paths.root, environment_modules=question.environment_modules)
    existing.choose_conditions(config)
    if question.override_design and not list(_altered(existing.config, config, but=DESIGN)):
        altered = list(_altered(existing.config, config))
        if altered:
            existing.override_design(config, altered)
    changed = list(_altered(existing.config, config))
    if changed:
        more = f" and {len(changed) - SHOWN_CHANGES} more" if len(changed) > SHOWN_CHANGES else ""
        raise UsageError(
            f"the file has changed since the experiment began: "
            f"{', '.join(changed[:SHOWN_CHANGES])}{more}",
            where=str(question.config),
            remedy=f"continue unchanged with --experiment-id {paths.experiment_id},"
            " or give the changed file another experiment_id; --override-design permits changes of "
            f"{', '.join(DESIGN)}, and records them",
        )
    return existing


def _altered(
    before: ExperimentConfig, after: ExperimentConfig, but: Sequence[str] = ()
) -> Iterator[str]:
    """What another form of a file changes besides `CONDITIONS`, in words."""
    left_out = {*CONDITIONS, *but}
    old, new = (each.model_dump(mode="json", exclude=left_out) for each in (before, after))
    yield from changes(old, new)


def _key(override: str) -> str:
    """The file's key that an override changes something of."""
    return override.partition("=")[0].strip(" +-").partition(".")[0]


def changes(before: Any, after: Any, pointer: str = "") -> Iterator[str]:
    """Where two JSON values differ: pointer, old value, new value."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from changes(before.get(key), after.get(key), f"{pointer}/{key}")
    elif _as_list(before) != _as_list(after):
        old, new = wording.setting(before), wording.setting(after)
        yield f"{wording.printable(pointer) or '/'} from {old} to {new}"


def _as_list(value: Any) -> Any:
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    return list(value) if is_sequence else value
