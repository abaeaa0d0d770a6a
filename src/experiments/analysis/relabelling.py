"""Relabellings of two arms' runs, and the statistic that compares them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

RELATIVE = 1e-12
"""Differences below so many times a value's size are rounding."""


def sorted_runs(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Both arms' runs about their common mean, ascending, and the observed labels as an order.

    Sorted, so that what is drawn from them depends on the values alone, not on arms and rows.
    The order has shape ``(1, n)``, in the form of `all_relabellings`.
    """
    values = np.concatenate([first, second])
    values = values - np.sort(values).mean()
    order = np.argsort(values, kind="stable")
    is_first = order < len(first)
    labels = np.concatenate([np.flatnonzero(is_first), np.flatnonzero(~is_first)])
    return values[order], labels[np.newaxis]


def all_relabellings(total: int, chosen: int) -> NDArray[np.intp]:
    """Orders of shape ``(C(total, chosen), total)``, the chosen first."""
    first = np.array(list(combinations(range(total), chosen)), dtype=np.intp)
    unused = np.ones((len(first), total), dtype=bool)
    np.put_along_axis(unused, first, values=False, axis=1)
    rest = np.nonzero(unused)[1].reshape(len(first), total - chosen)
    return np.concatenate([first, rest], axis=1)


def studentised(values: NDArray[np.float64], n_first: int) -> NDArray[np.float64]:
    """Welch's t of each row of ``(rows, n)``, one arm's runs first; infinite without spread."""
    first, second = values[:, :n_first], values[:, n_first:]
    difference = first.mean(axis=1) - second.mean(axis=1)
    error = np.sqrt(
        first.var(axis=1, ddof=1) / first.shape[1] + second.var(axis=1, ddof=1) / second.shape[1]
    )
    noise = RELATIVE * np.abs(values).max(initial=0.0)
    certain = np.where(np.abs(difference) <= noise, 0.0, np.inf)
    np.divide(difference, error, out=certain, where=error > noise)
    return certain
