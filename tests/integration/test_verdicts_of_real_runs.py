"""Verdicts on runs that were really trained: what is equal is not told apart, what is worse is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from src.experiments.config import parse_experiment
from src.experiments.domain.records import ExecutionMode
from src.experiments.domain.verdicts import Verdict
from src.experiments.experiment import Experiment
from src.experiments.runner import ExperimentRunner

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 6144}
EVALUATION = {"frequency": 2048, "episodes": 5, "final_episodes": 20}


def carried_out(experiment: Experiment) -> Experiment:
    assert ExperimentRunner(experiment, ExecutionMode.PARALLEL, 2).run()
    return experiment


def document(variant: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"baseline_config": ARM, "variant_config": variant, "evaluation": EVALUATION, **more}


def test_a_baseline_against_itself_on_other_seeds_is_neither_better_nor_worse(
    tmp_path: Path,
) -> None:
    config = parse_experiment(
        document({"extends": "baseline"}, seeds=list(range(10))), arms_may_be_equal=True
    )
    experiment = carried_out(Experiment.from_config(config, tmp_path, seed_offsets={"variant": 10}))

    assert {run.seed for run in experiment.results if run.arm == "baseline"} == set(range(10))
    assert {run.seed for run in experiment.results if run.arm == "variant"} == set(range(10, 20))
    hashes = {result.parameters_sha256 for result in experiment.results.values()}
    assert len(hashes) == 20
    assert experiment.comparison.verdict not in (Verdict.VARIANT_BETTER, Verdict.VARIANT_WORSE)
    loaded = Experiment.load(experiment.paths.root)
    assert loaded.comparison == experiment.comparison


def test_a_learning_rate_that_is_too_small_is_worse_before_the_last_look(tmp_path: Path) -> None:
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-6}}
    looks = {"first_look": 4, "batch": 2, "max_seeds": 10}
    more = {"comparison": {"sequential": looks}, "hypothesis": "it learns nothing"}
    config = parse_experiment(document(variant, **more))
    experiment = carried_out(Experiment.from_config(config, tmp_path))

    assert experiment.comparison.verdict is Verdict.VARIANT_WORSE
    assert experiment.comparison.n_per_arm["variant"] < 10
    assert len(experiment.complete_runs()) < 20
