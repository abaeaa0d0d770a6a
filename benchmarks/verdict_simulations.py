"""Simulated experiments, judged by the product's own functions."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from benchmarks.populations import POPULATIONS, normal
from src.experiments.analysis import imputation
from src.experiments.analysis.looks import LookPlan, plan_looks
from src.experiments.analysis.many_experiments import ends_of, p_at_points
from src.experiments.analysis.spending import power_family

Values = NDArray[np.float64]

ALPHA = 0.05
TRIALS = 10_000
PLANS = {10: (4, 2, 10), 20: (5, 3, 20)}
"""First look, batch and largest number of seeds per arm."""
EFFECTS = (0.0, 0.5, 1.0, 2.0)
"""In standard deviations."""
FEWER_SEEDS = {10: (36, 31, 24, 32), 20: (39, 31, 31, 55)}
"""Expected: percent of the seeds that the sequential design spares, by effect."""
PEEKING = {10: 14, 20: 21}
"""Expected: percent of true nulls rejected by testing after every seed."""
FIRST_PEEK = 3
COVERAGE_SEEDS = (5, 10)
SPARED_WITHIN = 2.0
PEEKING_WITHIN = 1.5
MOST_POWER_LOST = 5.5
"""What is expected is told in whole points; docs/decisions/0022 has what it consists of."""
TYPE_1 = (4.0, 6.0)
TYPE_1_UNEQUAL = 7.0
LEAST_COVERAGE = 94.0
CRASHING_SEEDS = 20
CRASHES = 0.2
SURVIVORS_GAIN = 0.5
"""How much better a run of the variant is that does not crash, in standard deviations."""
FLOOR = -5.0
"""The crashed runs' score: the variant is worse on average, 0.8 × 0.5 - 0.2 × 5 < 0."""


@dataclass(frozen=True)
class Figure:
    """One line of the table; all numbers in percent."""

    section: str
    what: str
    measured: float
    error: float
    """Standard error of the simulation."""
    expected: str
    is_met: bool


def welch_tests(baseline: Values, variant: Values, level: float) -> tuple[Values, Values, Values]:
    """Two-sided p and interval of each experiment."""
    test = scipy.stats.ttest_ind(variant, baseline, axis=1, equal_var=False)
    interval = test.confidence_interval(level)
    return test.pvalue, interval.low, interval.high


def type_1(trials: int, rng: np.random.Generator) -> Iterator[Figure]:
    """True nulls that the sequential procedure rejects, futility not followed."""
    spreads = [(name, draw, 1.0) for name, draw in POPULATIONS.items()]
    for n, numbers in PLANS.items():
        plan = plan_looks(*numbers, ALPHA)
        for name, draw, spread in [*spreads, ("normal, SD 1:3", normal, 3.0)]:
            baseline, variant = draw(rng, (trials, n)), spread * draw(rng, (trials, n))
            p_values = p_at_points(baseline, variant, plan, rng)
            rate, error = share(ends_of(p_values, plan, use_futility=False).rejected)
            low, high = TYPE_1 if spread == 1.0 else (0.0, TYPE_1_UNEQUAL)
            expected = f"{low:g} to {high:g}" if low else f"at most {high:g}"
            met = low <= rate <= high
            yield Figure("type-1", f"sequential, n_max {n}, {name}", rate, error, expected, met)


def coverage(trials: int, rng: np.random.Generator) -> Iterator[Figure]:
    """How often the intervals hold the true difference."""
    for n in COVERAGE_SEEDS:
        for name, draw in POPULATIONS.items():
            _, low, high = welch_tests(draw(rng, (trials, n)), draw(rng, (trials, n)), 1 - ALPHA)
            yield _covered(f"Welch interval, n {n}, {name}", (low <= 0) & (high >= 0))
    for n, numbers in PLANS.items():
        plan = plan_looks(*numbers, ALPHA)
        for effect in EFFECTS:
            held = _held_by_repeated(effect, plan, trials, rng)
            yield _covered(f"repeated interval at the end, n_max {n}, {effect:g} SD", held)


def _covered(what: str, held: NDArray[np.bool_]) -> Figure:
    rate, error = share(held)
    least = LEAST_COVERAGE
    return Figure("coverage", what, rate, error, f"at least {least:g}", rate >= least)


def _held_by_repeated(
    effect: float, plan: LookPlan, trials: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether the interval of the look at which an experiment ended holds the effect."""
    size = (trials, plan.max_seeds)
    baseline, variant = normal(rng, size), normal(rng, size) + effect
    ended = ends_of(p_at_points(baseline, variant, plan, rng), plan, use_futility=True).point
    held = np.zeros(trials, dtype=bool)
    for index, n in enumerate(plan.points):
        look = plan.look_at(n)
        level = 1 - (look.nominal_level if look else power_family(n / plan.max_seeds, ALPHA))
        _, low, high = welch_tests(baseline[:, :n], variant[:, :n], level)
        here = ended == index
        held[here] = ((low <= effect) & (effect <= high))[here]
    return held


def seeds(trials: int, rng: np.random.Generator) -> Iterator[Figure]:
    """Seeds and power of the sequential design against a fixed number."""
    for n, numbers in PLANS.items():
        plan = plan_looks(*numbers, ALPHA)
        for effect, spared in zip(EFFECTS, FEWER_SEEDS[n], strict=True):
            baseline, variant = normal(rng, (trials, n)), normal(rng, (trials, n)) + effect
            ended = ends_of(p_at_points(baseline, variant, plan, rng), plan, use_futility=True)
            change = 100.0 * (ended.seeds / n - 1.0)
            mean, error = float(change.mean()), float(change.std() / np.sqrt(trials))
            met = abs(mean + spared) <= SPARED_WITHIN + 2 * error
            what = f"n_max {n}, {effect:g} SD"
            yield Figure("seeds", f"seeds, {what}", mean, error, f"-{spared}", met)
            if effect:
                yield _power_lost(what, ended.rejected, welch_tests(baseline, variant, 0.95)[0])


def _power_lost(what: str, rejected: NDArray[np.bool_], fixed_p: Values) -> Figure:
    lost = (fixed_p <= ALPHA).astype(float) - rejected
    mean, error = 100.0 * float(lost.mean()), 100.0 * float(lost.std() / np.sqrt(len(lost)))
    met = mean <= MOST_POWER_LOST + 2 * error
    return Figure("seeds", f"points of power lost, {what}", mean, error, "at most 5", met)


def peeking(trials: int, rng: np.random.Generator) -> Iterator[Figure]:
    """True nulls rejected by a Welch test at level α after every seed from the third on."""
    for n, expected in PEEKING.items():
        baseline, variant = normal(rng, (trials, n)), normal(rng, (trials, n))
        rejected = np.zeros(trials, dtype=bool)
        for seen in range(FIRST_PEEK, n + 1):
            rejected |= welch_tests(baseline[:, :seen], variant[:, :seen], 0.95)[0] <= ALPHA
        rate, error = share(rejected)
        met = abs(rate - expected) <= PEEKING_WITHIN + 2 * error
        yield Figure("peeking", f"naive peeking, n_max {n}", rate, error, f"{expected}", met)


def crashes(trials: int, rng: np.random.Generator) -> Iterator[Figure]:
    """How often a variant that is worse on average, for its crashes, is called better."""
    size = (trials, CRASHING_SEEDS)
    baseline, variant = normal(rng, size), normal(rng, size) + SURVIVORS_GAIN
    variant[rng.random(variant.shape) < CRASHES] = np.nan
    imputed = imputation.impute(variant, FLOOR)
    cases = (
        ("dropped", _called_better(baseline, variant), "30", lambda rate: abs(rate - 30.0) <= 5.0),
        ("imputed", _called_better(baseline, imputed), "1", lambda rate: rate <= 2.0),
    )
    for name, better, expected, is_met in cases:
        rate, error = share(better)
        what = f"worse variant called better, crashes {name}"
        yield Figure("crashes", what, rate, error, expected, is_met(rate))


def _called_better(baseline: Values, variant: Values) -> NDArray[np.bool_]:
    """Welch's test at level α, runs without a score left out."""
    test = scipy.stats.ttest_ind(variant, baseline, axis=1, equal_var=False, nan_policy="omit")
    better: NDArray[np.bool_] = (test.pvalue <= ALPHA) & (test.statistic > 0)
    return better


def share(flags: NDArray[np.bool_]) -> tuple[float, float]:
    """Percent of flags that are set, and its standard error."""
    rate = float(flags.mean())
    return 100.0 * rate, 100.0 * float(np.sqrt(rate * (1.0 - rate) / len(flags)))


SECTIONS = {
    "type-1": type_1,
    "coverage": coverage,
    "seeds": seeds,
    "peeking": peeking,
    "crashes": crashes,
}


def simulate(sections: Sequence[str], trials: int, seed: int) -> Iterator[Figure]:
    """The figures of each section; a section's random numbers do not depend on the others."""
    for name, section in SECTIONS.items():
        if name in sections:
            yield from section(trials, np.random.default_rng((seed, *name.encode())))


def print_plans() -> None:
    for numbers in PLANS.values():
        plan = plan_looks(*numbers, ALPHA)
        print(f"first look {numbers[0]}, batch {numbers[1]}, n_max {numbers[2]}:")
        for n in plan.futility_only:
            print(f"  n {n:2}: for futility only")
        for look in plan.looks:
            print(
                f"  n {look.n_per_arm:2}: α spent {look.spent_alpha:.4f}, "
                f"rejects at p ≤ {look.nominal_level:.4f}, smallest p {look.smallest_p:.2g}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="experiments for each line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    if options.trials < 2:
        parser.error("--trials: need at least 2")
    started = time.perf_counter()
    print_plans()
    print(f"\n{'percent, of ' + str(options.trials):55}  measured          expected")
    met = True
    for line in simulate(options.only, options.trials, options.seed):
        told = "" if line.is_met else "  NOT met"
        print(
            f"{line.what:55}  {line.measured:6.1f} ± {line.error:.1f}  {line.expected:>14}{told}",
            flush=True,
        )
        met &= line.is_met
    print(f"\n{time.perf_counter() - started:.0f} s")
    sys.exit(not met)
