"""Power, the smallest effect that is shown, and the seeds for one: three faces of one curve."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from src.experiments.analysis import statistics


@pytest.mark.parametrize("n", [3, 5, 10, 20])
@pytest.mark.parametrize("paired", [False, True])
def test_the_minimum_detectable_effect_is_shown_with_its_power(n, paired):
    effect = statistics.minimum_detectable_effect(n, paired=paired)

    assert statistics.power_to_detect(effect, n, paired=paired) == pytest.approx(0.8, abs=1e-6)
    assert statistics.power_to_detect(-effect, n, paired=paired) == pytest.approx(0.8, abs=1e-6)


def test_without_an_effect_the_power_is_the_level():
    assert statistics.power_to_detect(0.0, 8, 0.03) == pytest.approx(0.03)


def test_the_power_is_the_share_of_experiments_that_reject():
    rng = np.random.default_rng(1)
    baseline, variant = rng.normal(size=(20_000, 6)), rng.normal(1.5, 1, (20_000, 6))
    rejected = scipy.stats.ttest_ind(variant, baseline, axis=1).pvalue <= 0.05

    expected = statistics.power_to_detect(1.5, 6)
    assert np.mean(rejected) == pytest.approx(expected, abs=0.012)


def test_a_single_run_has_no_power():
    assert statistics.power_to_detect(1.0, 1) is None
