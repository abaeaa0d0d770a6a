"""What is fixed before the first run: the seeds, the looks, the rule for an early end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from ..analysis.early_abort import LEAST_SEEDS, AbortRule, cost_of
from ..analysis.looks import LookPlan, fewest_max_seeds, plan_looks
from ..analysis.text import listed, percent, plural
from ..config import ExperimentConfig
from ..config.sections import HabitAbort, SequentialDesign
from ..domain.verdicts import DecisionRule, Floor

MOST_LOOKS_TOLD = 8


@dataclass(frozen=True)
class AbortPlan:
    """When the variant is looked at in mid-training, and what ends it."""

    rule: AbortRule
    fractions: tuple[float, ...]
    """Of training, rising."""
    seeds: int
    """Per arm: so many of the first planned ones are looked at, finished or not."""


@dataclass(frozen=True)
class Design:
    """The question's rules, as they hold from before the first run to the verdict."""

    rule: DecisionRule
    seeds: Mapping[str, tuple[int, ...]]
    """Of each arm, in the planned order; both arms have equally many."""
    plan: LookPlan | None = None
    """Of a group-sequential design."""
    abort: AbortPlan | None = None
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    floors: Mapping[str, Floor] = field(default_factory=dict)
    """What the random policy gets, by arm; empty until it was measured."""

    @property
    def seeds_per_arm(self) -> int:
        """The largest number of seeds of an arm."""
        return len(next(iter(self.seeds.values())))

    @property
    def goes_by_order(self) -> bool:
        """Whether the answer depends on which seeds come first."""
        return self.plan is not None or self.abort is not None

    def stages(self) -> list[range]:
        """The positions of the seeds up to each look; all at once where there is none."""
        ends = self.plan.points if self.plan is not None else (self.seeds_per_arm,)
        return [range(first, last) for first, last in zip((0, *ends), ends, strict=False)]

    @cached_property
    def fingerprint(self) -> str:
        """The same for designs under which the same looks are taken."""
        content = json.dumps(self._fixed(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The design as plain JSON data."""
        return {
            "fingerprint": self.fingerprint,
            **self._fixed(),
            "floors": {arm: asdict(floor) for arm, floor in self.floors.items()},
        }

    def _fixed(self) -> dict[str, Any]:
        """What is known before anything is measured."""
        return {
            "rule": {k: v for k, v in asdict(self.rule).items() if k != "floors"},
            "plan": None if self.plan is None else self.plan.to_dict(),
            "early_abort": None if self.abort is None else asdict(self.abort),
            "seeds": {arm: list(seeds) for arm, seeds in self.seeds.items()},
        }


def design_of(config: ExperimentConfig, seed_offsets: Mapping[str, int]) -> Design:
    """The design that a checked file asks for.

    Args:
        config: the file.
        seed_offsets: what is added to the seeds of an arm, so that arms share none.

    Raises:
        UsageError: (a ValueError) for looks of which no plan can be made.
    """
    rule, sequential = config.rule, config.comparison.sequential
    seeds = config.seed_list
    plan = None
    if sequential is not None:
        looks = (sequential.first_look, sequential.batch, sequential.max_seeds)
        plan = plan_looks(*looks, rule.alpha, paired=rule.paired)
    abort = _abort_plan(config, len(seeds))
    return Design(
        rule=rule,
        seeds={
            arm: tuple(seed + seed_offsets.get(arm, 0) for seed in seeds) for arm in config.arms
        },
        plan=plan,
        abort=abort,
        warnings=tuple(_warnings(plan, sequential, abort, config)),
        notices=tuple(_notices(plan, abort)),
    )


def _abort_plan(config: ExperimentConfig, seeds: int) -> AbortPlan | None:
    asked = config.early_abort
    if asked is None:
        return None
    if isinstance(asked, HabitAbort):
        return AbortPlan(AbortRule(asked.rule), (asked.after_fraction,), min(seeds, LEAST_SEEDS))
    return AbortPlan(AbortRule(asked.rule), asked.looks, LEAST_SEEDS)


def _warnings(
    plan: LookPlan | None,
    sequential: SequentialDesign | None,
    abort: AbortPlan | None,
    config: ExperimentConfig,
) -> Iterator[str]:
    if plan is not None and sequential is not None and not plan.can_reject:
        looks = (sequential.first_look, sequential.batch)
        needed = fewest_max_seeds(*looks, plan.alpha, paired=plan.paired)
        yield (
            f"with at most {plan.max_seeds} seeds per arm no look can show a difference at alpha "
            f'{plan.alpha:g}; set "max_seeds": {needed} or more'
        )
    if plan is not None and not plan.paired and set(plan.blocks) == {1}:
        yield (
            "with batches of one seed, labels are exchanged only within pairs of runs, which costs "
            'the test 12 to 26 points of power; set "batch": 2 or more'
        )
    if abort is None:
        return
    planned = len(config.seed_list)
    if planned < abort.seeds:
        yield (
            f"early_abort needs {abort.seeds} seeds of each arm, but {planned} are planned: it "
            "never looks"
        )
    yield from _too_late(abort, config)


def _too_late(abort: AbortPlan, config: ExperimentConfig) -> Iterator[str]:
    """A look needs an evaluation between its place in training and the end."""
    frequency = config.evaluation.frequency
    for fraction in abort.fractions:
        for name, arm in config.arms.items():
            following = -(-fraction * arm.training_steps // frequency) * frequency
            if following >= arm.training_steps:
                yield (
                    f"{name}: no evaluation comes between {percent(fraction)} of training and its "
                    "end, so early_abort saves nothing there; evaluate more often than every "
                    f"{frequency:,} steps"
                )


def _notices(plan: LookPlan | None, abort: AbortPlan | None) -> Iterator[str]:
    if plan is not None:
        yield from _told_looks(plan)
    if abort is not None:
        places = listed([percent(fraction) for fraction in abort.fractions], " and ")
        yield (
            f"during training the variant is checked after {places} of its steps, with "
            f"{plural(abort.seeds, 'seed')} per arm. {cost_of(abort.rule)}"
        )


def _told_looks(plan: LookPlan) -> Iterator[str]:
    levels = [f"{look.n_per_arm} (p ≤ {look.nominal_level:.2g})" for look in plan.looks]
    yield (
        f"looks after {_shortened(levels)} seeds per arm: the experiment ends at the first that "
        f"shows a difference, or makes one unlikely; alpha {plan.alpha:g} over all of them"
    )
    if plan.futility_only:
        points = listed([str(n) for n in plan.futility_only], ", ")
        yield (
            f"after {points} seeds per arm a look can only stop for futility: no p would be small "
            "enough"
        )


def _shortened(levels: Sequence[str]) -> str:
    if len(levels) <= MOST_LOOKS_TOLD:
        return ", ".join(levels)
    return f"{', '.join(levels[: MOST_LOOKS_TOLD - 1])}, …, {levels[-1]}"
