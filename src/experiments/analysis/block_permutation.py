"""The permutation test with labels permuted within batches of equal arm sizes.

The statistic is the studentised (Welch) difference of means. With equal arms the sum of all squares
is the same under every relabelling, so that |t| rises with the absolute difference of means: the
differences are compared instead, which gives the same p without cancellation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, reduce
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from .relabelling import RELATIVE
from .statistics import CELLS_AT_ONCE, MAX_ENUMERATED, RANDOM_DRAWS, Scores

Values = NDArray[np.float64]

_TIE = 1e-9
"""Differences this close, against the largest deviation of a run, are ties."""


def block_permutation_p(
    baseline: Scores, variant: Scores, blocks: Sequence[int], generator: np.random.Generator
) -> float:
    """Two-sided p for one score for each seed, shape ``(n,)`` per arm, in the planned order.

    `blocks` has the seeds per arm of each batch. Exact while there are at most `MAX_ENUMERATED`
    relabellings, else from `RANDOM_DRAWS` draws of `generator`, the observed labels counted among
    them. Swapped arms, rescaled scores and another order within a batch give the same p.

    Raises:
        ValueError: unless both arms have as many finite scores as the blocks together.
    """
    arms = [np.atleast_2d(np.asarray(scores, float)) for scores in (baseline, variant)]
    return float(block_permutation_ps(arms[0], arms[1], blocks, generator)[0])


def block_permutation_ps(
    baseline: Values,
    variant: Values,
    blocks: Sequence[int],
    generator: np.random.Generator,
    *,
    draws: int = RANDOM_DRAWS,
    most_enumerated: int = MAX_ENUMERATED,
) -> Values:
    """`block_permutation_p` of many experiments at once, shape ``(experiments, n)`` per arm.

    Drawn labels are the same ones for all experiments. The result has shape ``(experiments,)``.

    Raises:
        ValueError: as `block_permutation_p`.
    """
    _check(baseline, variant, sum(blocks))
    pooled, observed = _deviations(baseline, variant, blocks)
    if math.prod(math.comb(2 * block, block) for block in blocks) <= most_enumerated:
        return _share(pooled, observed, _Enumerated(blocks))
    drawn = _Drawn(blocks, draws, generator)
    return (_share(pooled, observed, drawn) * draws + 1.0) / (draws + 1.0)


class _Enumerated:
    """Every relabelling, block by block."""

    def __init__(self, blocks: Sequence[int]) -> None:
        self._blocks = blocks
        self.count = math.prod(math.comb(2 * block, block) for block in blocks)

    def sums(self, pooled: Sequence[Values]) -> Values:
        """Sums over the runs labelled variant, shape ``(experiments, relabellings)``."""
        each = [
            values @ _all_labels(block).T
            for values, block in zip(pooled, self._blocks, strict=True)
        ]
        return reduce(_outer_sum, each)


class _Drawn:
    """Relabellings drawn at random within each block."""

    def __init__(self, blocks: Sequence[int], draws: int, generator: np.random.Generator) -> None:
        self.count = draws
        self._labels = [_random_labels(block, draws, generator) for block in blocks]

    def sums(self, pooled: Sequence[Values]) -> Values:
        """As those of every relabelling."""
        return np.concatenate(pooled, axis=1) @ np.concatenate(self._labels, axis=1).T


def _check(baseline: Values, variant: Values, n: int) -> None:
    if baseline.shape != variant.shape or baseline.shape[1] != n:
        raise ValueError(
            f"the batches have {n} seeds per arm, the arms {baseline.shape[1]} and "
            f"{variant.shape[1]} scores"
        )
    if not (np.isfinite(baseline).all() and np.isfinite(variant).all()):
        raise ValueError("a score is not finite; impute the scores of failed runs first")


def _deviations(
    baseline: Values, variant: Values, blocks: Sequence[int]
) -> tuple[list[Values], Values]:
    """Each block's runs about its mean, ``(experiments, 2 * block)``, and |sum of the variant's|.

    Sorted within blocks, so that which relabellings are drawn knows nothing of arms and order;
    scaled by the largest, so that ties are told by an absolute difference.
    """
    ends = np.cumsum([0, *blocks])
    pooled, variant_sum = [], np.zeros(len(variant))
    for start, end in pairwise(ends):
        runs = np.concatenate([baseline[:, start:end], variant[:, start:end]], axis=1)
        mean = runs.mean(axis=1, keepdims=True)
        variant_sum = variant_sum + (variant[:, start:end] - mean).sum(axis=1)
        pooled.append(np.sort(runs - mean, axis=1))
    largest = np.max([np.abs(values).max(axis=1) for values in pooled], axis=0)
    size = np.maximum(np.abs(baseline).max(axis=1), np.abs(variant).max(axis=1))
    # runs that differ by rounding alone do not differ
    scale = np.where(largest > RELATIVE * size, largest, np.inf)
    return [values / scale[:, np.newaxis] for values in pooled], np.abs(variant_sum) / scale


def _share(pooled: Sequence[Values], observed: Values, labels: _Enumerated | _Drawn) -> Values:
    """The share of the relabellings that are as extreme as the observed labels."""
    at_once = max(1, CELLS_AT_ONCE // labels.count)
    shares = [
        np.mean(
            np.abs(labels.sums([values[start : start + at_once] for values in pooled]))
            >= observed[start : start + at_once, np.newaxis] - _TIE,
            axis=1,
        )
        for start in range(0, len(observed), at_once)
    ]
    return np.concatenate(shares)


def _outer_sum(first: Values, second: Values) -> Values:
    return (first[:, :, np.newaxis] + second[:, np.newaxis, :]).reshape(len(first), -1)


@cache
def _all_labels(block: int) -> Values:
    """Ones for the variant's runs, shape ``(C(2 * block, block), 2 * block)``."""
    chosen = np.array(list(combinations(range(2 * block), block)), dtype=np.intp)
    return _as_labels(chosen, 2 * block)


def _random_labels(block: int, draws: int, generator: np.random.Generator) -> Values:
    keys = generator.random((draws, 2 * block))
    return _as_labels(np.argpartition(keys, block - 1, axis=1)[:, :block], 2 * block)


def _as_labels(chosen: NDArray[np.intp], runs: int) -> Values:
    labels = np.zeros((len(chosen), runs))
    np.put_along_axis(labels, chosen, 1.0, axis=1)
    return labels
