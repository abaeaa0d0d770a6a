"""The verdict's error rates, simulated: a shortened run always, the whole one among the slow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import populations
from benchmarks import verdict_simulations as simulations
from src.experiments.analysis.looks import plan_looks
from src.experiments.analysis.many_experiments import ends_of, p_at_points
from src.experiments.analysis.sequential import Decision, follow
from src.experiments.analysis.statistics import welch_interval

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shortened():
    """Some hundred experiments for each figure."""
    figures = simulations.simulate(list(simulations.SECTIONS), 400, seed=1)
    return {figure.what: figure for figure in figures}


def of(figures, section):
    return [figure for figure in figures.values() if figure.section == section]


@pytest.mark.slow
def test_a_true_null_is_rejected_about_as_often_as_stated(shortened):
    rates = [figure.measured for figure in of(shortened, "type-1")]

    assert len(rates) == 8
    # three binomial errors of 1.1 points each
    assert max(rates) <= 5 + 3.3
    assert 4.0 <= np.mean(rates) <= 6.0


def test_intervals_hold_the_true_difference(shortened):
    assert min(figure.measured for figure in of(shortened, "coverage")) >= 94 - 3.3


def test_the_sequential_design_spares_seeds(shortened):
    spared = [figure for figure in of(shortened, "seeds") if figure.what.startswith("seeds")]

    assert len(spared) == 8
    for figure in spared:
        assert figure.measured == pytest.approx(float(figure.expected), abs=2 + 3 * figure.error)


def test_peeking_and_dropped_crashes_err_often_and_imputed_ones_rarely(shortened):
    for figure in of(shortened, "peeking"):
        assert figure.measured > 10
    dropped, imputed = of(shortened, "crashes")
    assert dropped.measured > 20
    assert imputed.measured <= 3


def test_simulated_experiments_end_where_the_product_ends_them():
    plan, rng = plan_looks(4, 2, 8), np.random.default_rng(3)
    baseline, variant = rng.normal(size=(40, 8)), rng.normal(1, 1, (40, 8))

    p_values = p_at_points(baseline, variant, plan, rng)
    ended = ends_of(p_values, plan)
    looks = [follow(b, v, plan, 1)[-1] for b, v in zip(baseline, variant, strict=True)]
    assert ended.seeds.tolist() == [look.n_per_arm for look in looks]
    assert ended.rejected.tolist() == [look.decision is Decision.REJECT for look in looks]
    assert len(set(ended.seeds.tolist())) == 3


def test_simulated_intervals_are_the_products():
    rng = np.random.default_rng(4)
    baseline, variant = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))

    _, low, high = simulations.welch_tests(baseline, variant, 0.97)
    for row in range(5):
        assert (low[row], high[row]) == pytest.approx(
            welch_interval(baseline[row], variant[row], 0.97)
        )


@pytest.mark.parametrize("name", populations.POPULATIONS)
def test_populations_have_mean_zero_and_spread_one(name):
    values = populations.POPULATIONS[name](np.random.default_rng(5), (1000, 1000))

    assert values.mean() == pytest.approx(0.0, abs=0.01)
    assert values.std() == pytest.approx(1.0, abs=0.02)


@pytest.mark.slow
def test_the_whole_simulation_meets_every_figure():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "statistics.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT met" not in done.stdout


def test_programs_beside_the_simulation_still_find_the_standard_librarys_module():
    command = "from statistics import median; print(median([1, 2, 9]))"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert (done.stdout, done.stderr) == ("2\n", "")
