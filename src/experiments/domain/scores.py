"""A run's scores, computed from its evaluation curve."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from .records import EvaluationPoint

FINAL_SHARE = 0.1
"""The last part of training whose evaluations make the final return."""


def final_return(evaluations: Sequence[EvaluationPoint], planned_timesteps: int) -> float | None:
    """Mean of the evaluation means in the last 10 % of training, final evaluation included.

    None where nothing was evaluated.
    """
    first = (1.0 - FINAL_SHARE) * planned_timesteps
    means = [point.return_mean for point in evaluations if point.final or point.step >= first]
    return fmean(means) if means else None


def area_under_curve(evaluations: Sequence[EvaluationPoint]) -> float | None:
    """Mean of the evaluation curve, in units of return; None where nothing was evaluated."""
    return fmean(point.return_mean for point in evaluations) if evaluations else None
