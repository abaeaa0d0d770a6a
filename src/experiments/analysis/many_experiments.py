"""The sequential procedure on many experiments at once, for simulations; as `sequential.follow`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .block_permutation import block_permutation_ps
from .looks import LookPlan, blocks_within
from .sequential import FUTILITY_BELOW, predictive_power
from .spending import two_sided_value

Values = NDArray[np.float64]

DRAWS = 2_000
"""Relabellings drawn where a verdict draws ten times as many: the level is exact with any."""
MOST_ENUMERATED = 16_000
SHARING = 250
"""Experiments that share the relabellings drawn, so that no draw sways the whole figure."""


@dataclass(frozen=True)
class Ends:
    """How the experiments ended, shape ``(experiments,)`` each."""

    seeds: NDArray[np.int_]
    """Per arm, looked at."""
    rejected: NDArray[np.bool_]
    point: NDArray[np.int_]
    """Index of the plan's point at which each ended."""


def p_at_points(
    baseline: Values,
    variant: Values,
    plan: LookPlan,
    rng: np.random.Generator,
    most_enumerated: int = MOST_ENUMERATED,
) -> Values:
    """The sequential test's p, shape ``(experiments, points of the plan)``.

    Scores have shape ``(experiments, seeds)`` per arm, in the planned order of seeds.
    """
    columns = []
    for n in plan.points:
        blocks = blocks_within(plan.blocks, n)
        first = baseline[:, :n], variant[:, :n]
        columns.append(permutation_ps(*first, blocks, rng, most_enumerated))
    return np.stack(columns, axis=1)


def permutation_ps(
    baseline: Values,
    variant: Values,
    blocks: tuple[int, ...],
    rng: np.random.Generator,
    most_enumerated: int = MOST_ENUMERATED,
) -> Values:
    """Two-sided p of each experiment, shape ``(experiments,)``; `blocks` as for the test itself."""
    pieces = [
        block_permutation_ps(
            baseline[start : start + SHARING],
            variant[start : start + SHARING],
            blocks,
            rng,
            draws=DRAWS,
            most_enumerated=most_enumerated,
        )
        for start in range(0, len(baseline), SHARING)
    ]
    return np.concatenate(pieces)


def ends_of(p_values: Values, plan: LookPlan, *, use_futility: bool = True) -> Ends:
    """How experiments with these p-values end, shape ``(experiments, points of the plan)``."""
    experiments = len(p_values)
    point = np.full(experiments, len(plan.points) - 1)
    rejected = np.zeros(experiments, dtype=bool)
    going = np.ones(experiments, dtype=bool)
    for index, n in enumerate(plan.points):
        look, p = plan.look_at(n), p_values[:, index]
        rejects = going & (p <= look.nominal_level) if look else np.zeros(experiments, dtype=bool)
        ends = rejects.copy()
        if use_futility and n < plan.max_seeds:
            ends |= going & (promises(p, n, plan) < FUTILITY_BELOW)
        point[ends], rejected[rejects] = index, True
        going &= ~ends
    return Ends(np.array(plan.points)[point], rejected, point)


def promises(p_values: Values, n: int, plan: LookPlan) -> Values:
    """The predictive power of each experiment after n seeds per arm."""
    distinct, which = np.unique(p_values, return_inverse=True)
    last, fraction = plan.looks[-1].critical_value, n / plan.max_seeds
    each = [predictive_power(two_sided_value(p), fraction, last) for p in distinct.tolist()]
    return np.array(each)[which]
