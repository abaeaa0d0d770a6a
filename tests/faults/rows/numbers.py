"""Rewards, observations and losses that are no finite numbers."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..figures import Bench, Trial
from ..pair import ROLLOUT, Pair, document

AT = 300
CASES = (
    ("reward", "nan", {}),
    ("observation", "inf", {}),
    # finite itself, but its square in the loss of the value function is infinite
    ("loss", "1e25", {"n_epochs": 1}),
    ("reward", "inf", {}),
    ("observation", "nan", {}),
    # after an infinite loss the parameters are no numbers, and so is the next loss
    ("loss", "1e25", {"n_epochs": 2}),
)
"""What is not finite, the number that the environment gives, hyperparameters."""


def not_finite(bench: Bench, count: int) -> Iterator[Trial]:
    """NaN and infinity in each of the three."""
    for case in CASES[:count]:
        yield Trial(partial(_is_named_and_left_out, bench, *case))


def _is_named_and_left_out(
    bench: Bench, quantity: str, value: str, hyperparameters: dict, folder: Path
) -> None:
    kind = "observation" if quantity == "observation" else "reward"
    usual = document()["baseline_config"]["hyperparameters"]
    baseline = {
        "environment": "BrokenCartPole-v0",
        "environment_kwargs": {"kind": kind, "at": AT, "value": value},
        "hyperparameters": usual | hyperparameters,
    }
    variant = {"environment_kwargs": {"kind": "none"}}
    pair = Pair(folder, document(baseline=baseline, variant=variant))
    done = bench.warm.finish(pair, words=pair.words("--recovery", "skip"))
    assert done.code == 4, done
    step = AT if quantity == kind else (AT // ROLLOUT + 1) * ROLLOUT
    [(_, cause)] = pair.ends()
    assert f"non-finite {quantity} at step {step}" in cause
    assert cause in done.stderr
    _check_counts_with_the_floor(pair)


def _check_counts_with_the_floor(pair: Pair) -> None:
    """It counts as failed, whatever it had come to, and is compared with what chance gets."""
    results = pair.results()
    baseline = pair.run_results()["baseline"]
    assert baseline["status"] == "skipped"
    assert baseline["final_return"] is None
    assert not list((pair.root / "models").glob("baseline*"))
    assert results["comparison"]["failed_per_arm"] == {"baseline": 1, "variant": 0}
    assert results["comparison"]["verdict"] == "insufficient_evidence"
    floor = pair.experiment()["design"]["floors"]["baseline"]["return_mean"]
    score = pair.run_results()["variant"]["final_return"]
    assert math.isclose(results["comparison"]["effect"], score - floor)
