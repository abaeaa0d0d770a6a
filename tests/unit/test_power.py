"""Power, the smallest effect that is shown, and the seeds for one: three faces of one curve."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from src.experiments.analysis import statistics
from src.experiments.analysis.t_test_power import t_test_power


@pytest.mark.parametrize("n", [3, 5, 10, 20])
@pytest.mark.parametrize("paired", [False, True])
def test_the_minimum_detectable_effect_is_shown_with_its_power(n, paired):
    effect = statistics.minimum_detectable_effect(n, paired=paired)

    assert t_test_power(effect, n, 0.05, paired=paired) == pytest.approx(0.8, abs=1e-6)


def test_without_an_effect_the_power_is_the_level():
    assert t_test_power(0.0, 8, 0.03) == pytest.approx(0.03)


def test_the_power_is_the_share_of_experiments_that_reject():
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=(20_000, 6)), rng.normal(1.5, 1, (20_000, 6))
    rejected = scipy.stats.ttest_ind(variant, baseline, axis=1).pvalue <= 0.05

    expected = t_test_power(1.5, 6, 0.05)
    assert np.mean(rejected) == pytest.approx(expected, abs=0.012)


def test_a_single_run_shows_no_effect():
    assert statistics.minimum_detectable_effect(1) is None
