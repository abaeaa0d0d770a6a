"""The plan of looks: after how many seeds an experiment may end, fixed before its first run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from ..domain.errors import UsageError
from .spending import critical_values, power_family, two_sided_level


@dataclass(frozen=True)
class Look:
    """A point at which the test may reject."""

    n_per_arm: int
    """Seeds per arm that are looked at: the first ones in the planned order."""
    spent_alpha: float
    """Up to and including this look."""
    nominal_level: float
    """The look rejects at a two-sided p of at most so much."""
    critical_value: float
    """The same as a boundary on |z|."""
    smallest_p: float
    """The smallest two-sided p that relabelling within blocks can give here."""

    @property
    def can_reject(self) -> bool:
        """Whether any p that can come out is small enough."""
        return self.smallest_p <= self.nominal_level


@dataclass(frozen=True)
class LookPlan:
    """All looks of an experiment, and the blocks within which labels are permuted."""

    alpha: float
    blocks: tuple[int, ...]
    """Seeds per arm of each batch, in the planned order; their sum is the largest number."""
    looks: tuple[Look, ...]
    """Rising; the last one is at the largest number of seeds."""
    futility_only: tuple[int, ...] = ()
    """Seeds per arm of looks that were asked for and can only end for futility.

    No p that their seeds can give would reject; the test waits for the next look.
    """
    paired: bool = False

    @property
    def max_seeds(self) -> int:
        """The largest number of seeds per arm."""
        return sum(self.blocks)

    @property
    def points(self) -> tuple[int, ...]:
        """Seeds per arm of every look, those for futility only included, rising."""
        return tuple(sorted({*self.futility_only, *(look.n_per_arm for look in self.looks)}))

    @property
    def can_reject(self) -> bool:
        """Whether any look can; without one the evidence cannot suffice."""
        return any(look.can_reject for look in self.looks)

    def look_at(self, n_per_arm: int) -> Look | None:
        """The look after so many seeds per arm; None where the test does not look."""
        return next((look for look in self.looks if look.n_per_arm == n_per_arm), None)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON data."""
        return {
            "alpha": self.alpha,
            "max_seeds": self.max_seeds,
            "blocks": list(self.blocks),
            "looks": [asdict(look) for look in self.looks],
            "futility_only": list(self.futility_only),
            "paired": self.paired,
        }


def plan_looks(
    first_look: int, batch: int, max_seeds: int, alpha: float = 0.05, *, paired: bool = False
) -> LookPlan:
    """Looks after `first_look` seeds per arm, after each further `batch`, and at `max_seeds`.

    A look at which no p that can come out reaches its nominal level is moved up to the first one
    that can, and α is spent anew over the looks that remain (Lan & DeMets 1983: a look that does
    not test spends nothing). The last look stays, even where it cannot reject. With `paired`,
    labels are swapped within pairs of equal seeds, whatever the batch.

    Raises:
        UsageError: (a ValueError) for numbers of which no plan can be made.
    """
    _check(first_look, batch, max_seeds, alpha)
    asked = (*range(first_look, max_seeds, batch), max_seeds)
    blocks = (1,) * max_seeds if paired else _blocks(first_look, batch, max_seeds)
    looks = _looks(asked, blocks, alpha)
    while not all(look.can_reject for look in looks[:-1]):
        able = [look.n_per_arm for look in looks[:-1] if look.can_reject]
        looks = _looks([*able, max_seeds], blocks, alpha)
    kept = {look.n_per_arm for look in looks}
    return LookPlan(alpha, blocks, looks, tuple(n for n in asked if n not in kept), paired)


def fewest_max_seeds(
    first_look: int, batch: int, alpha: float = 0.05, *, paired: bool = False
) -> int:
    """The smallest `max_seeds` with which a plan can reject.

    Raises:
        UsageError: as `plan_looks`.
    """
    most = max(first_look, 2)
    while not plan_looks(first_look, batch, most, alpha, paired=paired).can_reject:
        most += 1
    return most


def smallest_p(blocks: Sequence[int]) -> float:
    """The smallest two-sided p when labels are permuted within blocks of equal arms."""
    # the mirrored labels are as extreme as the observed ones
    return 2.0 / math.prod(math.comb(2 * block, block) for block in blocks)


def blocks_within(blocks: Sequence[int], n_per_arm: int) -> tuple[int, ...]:
    """The blocks that make up the first seeds.

    Raises:
        ValueError: where a block would be cut.
    """
    ends = list(accumulate(blocks))
    if n_per_arm not in ends:
        raise ValueError(f"{n_per_arm} seeds per arm end within a batch; batches end at {ends}")
    return tuple(blocks[: ends.index(n_per_arm) + 1])


def _looks(points: Sequence[int], blocks: Sequence[int], alpha: float) -> tuple[Look, ...]:
    fractions = [n / points[-1] for n in points]
    spent = [power_family(fraction, alpha) for fraction in fractions]
    return tuple(
        Look(n, share, two_sided_level(value), value, smallest_p(blocks_within(blocks, n)))
        for n, share, value in zip(points, spent, critical_values(fractions, spent), strict=True)
    )


def _blocks(first_look: int, batch: int, max_seeds: int) -> tuple[int, ...]:
    """The seeds of the first look, then a batch each; the last takes what is left.

    With batches of one the seeds come pair by pair, those of the first look too.
    """
    first = first_look if batch > 1 else 1
    whole, over = divmod(max_seeds - first, batch)
    return (first, *(batch,) * whole, *((over,) if over else ()))


def _check(first_look: int, batch: int, max_seeds: int, alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha must lie between 0 and 1, got {alpha}", remedy="0.05 is usual")
    if min(first_look, batch) < 1:
        raise UsageError(
            f"first_look {first_look} and batch {batch}: each needs at least one seed per arm",
            remedy="first_look 6 and batch 3 suit 15 seeds",
        )
    if max_seeds < max(first_look, 2):
        raise UsageError(
            f"max_seeds {max_seeds} is too few for a first look after {first_look}",
            remedy=f"give at least {max(first_look, 2)}",
        )
