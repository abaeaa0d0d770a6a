"""Experiments beside each other: settings, crossovers, hints, and what makes all that doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..analysis.crossover import MAXIMIZE, Crossover, crossover
from ..analysis.overfitting import OverfittingHint, overfitting_hint
from ..config.across import SettingAcross, settings_across
from .compared import ArmSoFar, Compared
from .stored import ARMS, Data
from .wording import not_needed, plural

UNFAIR = {
    "environment": "train on different environments",
    "environment_kwargs": "give their environments different arguments",
    "wrappers": "wrap their environments differently",
}
"""Keys of an arm that decide what its returns mean."""


@dataclass(frozen=True)
class Side:
    """One arm of one of the experiments."""

    experiment: Compared
    number: int
    """The experiment's place among those that are compared, counted from 1."""
    arm: ArmSoFar


@dataclass(frozen=True)
class Crossing:
    """Whether one side's mean evaluation curve stays ahead of another's, and the reverse."""

    side: Side
    other: Side
    lead: Crossover
    reverse: Crossover


@dataclass(frozen=True)
class Hint:
    """An arm that seems to overfit."""

    side: Side
    found: OverfittingHint


@dataclass(frozen=True)
class Across:
    """All that is told of some experiments beside each other."""

    experiments: Sequence[Compared]
    settings: Sequence[SettingAcross]
    """In what the experiments differ; of a single one nothing."""
    crossings: Sequence[Crossing]
    hints: Sequence[Hint]
    warnings: Sequence[str]
    notes: Sequence[str]
    """What is as it should be and worth knowing."""
    direction: str
    """Whether more is better in all that is said."""


def across(experiments: Sequence[Compared]) -> Across:
    """Put experiments beside each other; a single one's two arms."""
    settings = settings_across([_config(each) for each in experiments])
    direction = experiments[0].direction
    sides = [
        Side(each, number, each.arms[arm])
        for number, each in enumerate(experiments, start=1)
        for arm in ARMS
    ]
    return Across(
        experiments=experiments,
        settings=settings,
        crossings=[_crossing(*pair, direction) for pair in _pairs(sides)],
        hints=list(_hints(sides)),
        warnings=list(_warnings(experiments, settings)),
        notes=list(_notes(experiments)),
        direction=direction,
    )


def _config(experiment: Compared) -> Data:
    """The saved file, with the list of seeds that it comes to."""
    planned = experiment.stored.planned_timesteps
    seeds = [run.seed for run in planned if run.arm == ARMS[0]]
    return {**experiment.stored.config, "seeds": seeds}


def _pairs(sides: Sequence[Side]) -> Iterator[tuple[Side, Side]]:
    """Each variant with its baseline; then each later experiment's arms with the first one's."""
    by_place = {(side.number, side.arm.arm): side for side in sides}
    numbers = range(1, len(sides) // len(ARMS) + 1)
    baseline, variant = ARMS
    yield from ((by_place[n, variant], by_place[n, baseline]) for n in numbers)
    yield from ((by_place[n, arm], by_place[1, arm]) for n in numbers[1:] for arm in ARMS)


def _crossing(side: Side, other: Side, direction: str) -> Crossing:
    curve, opposed = side.arm.evaluation, other.arm.evaluation
    return Crossing(
        side, other, crossover(curve, opposed, direction), crossover(opposed, curve, direction)
    )


def _hints(sides: Sequence[Side]) -> Iterator[Hint]:
    for side in sides:
        arm = side.arm
        found = overfitting_hint(arm.training, arm.evaluation, side.experiment.direction)
        if found is not None:
            yield Hint(side, found)


def _warnings(experiments: Sequence[Compared], settings: Sequence[SettingAcross]) -> Iterator[str]:
    yield from _unlike(experiments, settings)
    for number, each in enumerate(experiments, start=1):
        if not each.is_whole:
            yield f"[{number}] {_standing(each)}: {_how_far(each)}"
        elsewhere = each.stored.paths.elsewhere
        if elsewhere.is_file():
            yield f"[{number}] has its curves elsewhere: {elsewhere} says where"
        yield from (f"[{number}] {problem}" for problem in each.problems)


def _standing(experiment: Compared) -> str:
    """What an experiment is called that has runs which are not complete."""
    look = any(look.get("abort") for look in experiment.early_abort)
    return "was stopped during training" if look else f"is {experiment.stored.status}"


def _notes(experiments: Sequence[Compared]) -> Iterator[str]:
    for number, each in enumerate(experiments, start=1):
        arms = each.arms.values()
        if unused := sum(arm.runs_not_needed for arm in arms):
            steps = sum(arm.timesteps_not_needed for arm in arms)
            yield f"[{number}] {not_needed(unused, steps)}"


def _unlike(experiments: Sequence[Compared], settings: Sequence[SettingAcross]) -> Iterator[str]:
    """Why returns may not mean the same, or not have been measured alike."""
    pointers = [setting.pointer for setting in settings]
    for key, what in UNFAIR.items():
        if any(f"{p}/".startswith(f"/{arm}_config/{key}/") for p in pointers for arm in ARMS):
            yield f"the experiments {what}: their returns may not be comparable"
    for number, each in enumerate(experiments, start=1):
        environments = {arm.environment for arm in each.arms.values()}
        if len(environments) > 1:
            told = " and ".join(sorted(environments))
            yield f"[{number}] its arms train on {told}: their returns may not be comparable"
    measured = [p for p in pointers if p.startswith("/evaluation/")]
    if measured:
        yield f"the experiments evaluate differently ({', '.join(measured)})"
    if len({each.direction for each in experiments}) > 1:
        yield (
            "the experiments disagree on whether more is better; crossovers are given as [1] has "
            f"it: {'more' if experiments[0].direction == MAXIMIZE else 'less'} is better"
        )


def _how_far(experiment: Compared) -> str:
    arms = experiment.arms.values()
    done, planned = sum(a.runs_completed for a in arms), sum(a.runs_planned for a in arms)
    under_way = [arm.arm for arm in arms if not arm.runs_completed and arm.evaluation.runs]
    curves = f"; the curves of the {' and '.join(under_way)} are those of runs under way"
    return (
        f"{done} of {plural(planned, 'run')} complete, and scores cover only these"
        f"{curves if under_way else ''}"
    )
