"""How the arms are compared, and what came of it: frozen, plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The answers that an experiment can end in, strongest first."""

    VARIANT_BETTER = "variant_better"
    VARIANT_WORSE = "variant_worse"
    EQUIVALENT = "equivalent"
    STOPPED_FOR_FUTILITY = "stopped_for_futility"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence"
    NO_DIFFERENCE_SHOWN = "no_difference_shown"


@dataclass(frozen=True)
class DecisionRule:
    """How the arms are compared; fixed before the first run."""

    metric: str = "final_return"
    """``final_return``, ``final_mean_reward`` or ``auc``: fields of `TrainingResult`."""
    direction: str = "maximize"
    alpha: float = 0.05
    equivalence_margin: float | None = None
    minimum_effect: float | None = None
    paired: bool = False
    floors: Mapping[str, float] = field(default_factory=dict)
    """The random policy's mean return by arm: the score of a run that is to blame for failing."""


@dataclass(frozen=True)
class Floor:
    """What a policy gets that draws its actions uniformly: the worst that a run can come to."""

    return_mean: float
    return_std: float
    """Over episodes."""
    episodes: int
    steps: int


@dataclass(frozen=True)
class Comparison:
    """The answer to the experiment's question, as `results.json` holds it."""

    verdict: Verdict
    sentence: str
    metric: str
    effect: float | None
    """Difference of the arms' means over seeds, variant minus baseline."""
    interval: tuple[float, float] | None
    alpha: float
    p_value: float | None
    looks: tuple[Mapping[str, Any], ...] = ()
    n_per_arm: Mapping[str, int] = field(default_factory=dict)
    failed_per_arm: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """One setting in which the arms differ after defaults are expanded."""

    pointer: str
    """JSON pointer inside an arm, such as ``/hyperparameters/learning_rate``."""
    baseline: Any
    variant: Any
    baseline_is_default: bool = False
    variant_is_default: bool = False
