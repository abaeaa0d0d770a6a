"""What is fixed before the first run."""

from __future__ import annotations

from typing import Any

import pytest

from src.experiments.config import parse_experiment
from src.experiments.domain.errors import ConfigurationError
from src.experiments.domain.seeds import MAX_SEED, seed_list
from src.experiments.planning.design import Design, design_of

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 40_960, "seed": 7}
VARIANT = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}


def design(seed_offsets: dict[str, int] | None = None, **more: Any) -> Design:
    document = {"baseline_config": ARM, "variant_config": VARIANT, **more}
    return design_of(parse_experiment(document), seed_offsets or {})


def sequential(first_look: int, batch: int, max_seeds: int) -> dict[str, Any]:
    looks = {"first_look": first_look, "batch": batch, "max_seeds": max_seeds}
    return {"comparison": {"sequential": looks}}


@pytest.mark.parametrize(
    ("seeds", "first", "planned", "expected"),
    [
        (None, 7, None, [7]),
        (3, 7, None, [7, 8, 9]),
        ([5, 2], 7, None, [5, 2]),
        ([42, 43], 7, 4, [42, 43, 44, 45]),
        ([5, 2], 7, 4, [5, 2, 6, 7]),
        (None, 7, 3, [7, 8, 9]),
        ([MAX_SEED, 1], 7, 4, [MAX_SEED, 1, 0, 2]),
    ],
)
def test_fewer_seeds_than_planned_are_extended_by_those_that_follow(
    seeds: int | list[int] | None, first: int, planned: int | None, expected: list[int]
) -> None:
    assert seed_list(seeds, first, planned) == expected


def test_a_sequential_design_plans_the_seeds_of_its_last_look_for_both_arms() -> None:
    found = design(seeds=[42, 43], **sequential(6, 3, 15))

    assert found.seeds["baseline"] == tuple(range(42, 57))
    assert found.seeds["baseline"] == found.seeds["variant"]
    assert found.stages() == [range(6), range(6, 9), range(9, 12), range(12, 15)]


def test_without_looks_all_seeds_are_one_stage() -> None:
    assert design(seeds=5).stages() == [range(5)]


def test_an_offset_keeps_the_arms_from_sharing_seeds() -> None:
    found = design({"variant": 10}, seeds=[0, 1])

    assert found.seeds == {"baseline": (0, 1), "variant": (10, 11)}


def test_the_looks_and_their_levels_are_told_before_the_first_run() -> None:
    told = " ".join(design(**sequential(4, 2, 10)).notices)

    assert "looks after 6 (p ≤ 0.018), 8 (p ≤ 0.024), 10 (p ≤ 0.035) seeds per arm" in told
    assert "after 4 seeds per arm a look can only stop for futility" in told


def test_looks_that_could_never_reject_are_warned_of_with_the_number_that_would_do() -> None:
    warning = " ".join(design(**sequential(2, 1, 4)).warnings)

    assert "no look can show a difference" in warning
    assert '"max_seeds": 6 or more' in warning


def test_batches_of_one_are_warned_of_unless_the_arms_are_paired() -> None:
    paired = sequential(8, 1, 10)
    paired["comparison"]["paired"] = True

    assert 'set "batch": 2 or more' in " ".join(design(**sequential(8, 1, 10)).warnings)
    assert design(**sequential(8, 2, 10)).warnings == ()
    assert design(**paired).warnings == ()


@pytest.mark.parametrize(
    ("abort", "fragment"),
    [
        ({"looks": [0.5]}, "stopped 46 % of the worse arms and 1 % of the better ones"),
        ({"after_fraction": 0.2}, "80 % of the worse arms and 18 % of the better ones"),
    ],
)
def test_a_rule_for_an_early_end_tells_what_it_costs(abort: dict[str, Any], fragment: str) -> None:
    assert fragment in " ".join(design(seeds=8, early_abort=abort).notices)


def test_an_early_end_that_can_never_come_is_warned_of() -> None:
    few = " ".join(design(seeds=3, early_abort={"looks": [0.5]}).warnings)
    late = design(seeds=8, early_abort={"looks": [0.8]}, evaluation={"frequency": 30_000}).warnings

    assert "needs 5 seeds of each arm, but 3 are planned" in few
    assert "no evaluation comes between 80 % of training and its end" in " ".join(late)


def test_more_seeds_than_the_last_look_has_are_refused() -> None:
    with pytest.raises(ConfigurationError) as refused:
        design(seeds=20, **sequential(6, 3, 15))

    assert "/seeds: name 20 seeds, more than comparison.sequential.max_seeds" in str(refused.value)
