"""Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from src.experiments.analysis.multiplicity import holm


def test_the_smallest_p_pays_for_all_and_the_order_is_kept():
    adjusted = holm({"auc": 0.04, "final": 0.01, "steps": 0.03})

    # 3 × .01, 2 × .03, and .04 not below what comes before it
    assert list(adjusted) == ["auc", "final", "steps"]
    assert adjusted == pytest.approx({"auc": 0.06, "final": 0.03, "steps": 0.06})


def test_it_agrees_with_statsmodels():
    values = np.random.default_rng(1).random(12) ** 3
    expected = multipletests(values, method="holm")[1]

    adjusted = holm({str(k): value for k, value in enumerate(values.tolist())})
    assert list(adjusted.values()) == pytest.approx(expected)


def test_no_adjusted_p_exceeds_one_and_nothing_stays_nothing():
    assert holm({"a": 0.8, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
