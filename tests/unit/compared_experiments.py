"""Experiments that have come to their verdict, as the product writes them, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.experiments.domain.records import RunKey
from src.experiments.durability.journal import JournalWriter
from src.experiments.experiment import Experiment
from src.experiments.outputs.derived import write_results

EVERY = 1000
"""Timesteps between two evaluations."""
ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 8192, "seed": 1}
RISING = (10.0, 30.0, 50.0, 70.0, 80.0, 85.0, 88.0, 90.0)
LATE = (5.0, 10.0, 20.0, 40.0, 70.0, 95.0, 110.0, 120.0)


def new(output_dir: Path, experiment_id: str, **settings: Any) -> Experiment:
    """An experiment of two seeds that differs from others as `settings` say."""
    arm = {**ARM, **settings.pop("arm", {})}
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    return Experiment(
        arm,
        {**variant, **settings.pop("variant", {})},
        "A shorter horizon",
        experiment_id=experiment_id,
        output_dir=output_dir,
        **{"seeds": 2, "evaluation": {"frequency": EVERY}, **settings},
    )


def write_journal(
    experiment: Experiment,
    run: RunKey,
    evaluations: Sequence[float],
    training: Sequence[float] = (),
) -> None:
    """A run's journal: a training row and an evaluation every `EVERY` steps."""
    environment = experiment.config.arms[run.arm].environment
    with JournalWriter(experiment.paths.run(run).journal, sync=False) as journal:
        journal.append("started", 0, planned_timesteps=8192, environment=environment)
        for number, value in enumerate(evaluations, start=1):
            row = training[number - 1] if training else value
            journal.append("metrics", number * EVERY, metrics={"rollouts/returns_mean": row})
            metrics = {"eval/return_mean": value}
            journal.append("evaluation", number * EVERY, metrics=metrics, final=False)


def train(
    experiment: Experiment,
    arm: str,
    evaluations: Sequence[float],
    training: Sequence[float] = (),
    seeds: Sequence[int] = (1, 2),
) -> None:
    """Complete an arm's runs, whose mean curve is `evaluations`; seeds lie 2 apart about it."""
    for place, seed in enumerate(seeds):
        shift = 2.0 * place - (len(seeds) - 1)
        curve = [value + shift for value in evaluations]
        write_journal(experiment, RunKey(arm, seed), curve, training)
        scores = dict.fromkeys(("final_return", "final_mean_reward"), curve[-1])
        auc = sum(curve) / len(curve)
        experiment.add_result(
            arm,
            {"seed": seed, "total_timesteps": 8192, "training_time": 30.0, "auc": auc, **scores},
        )


def finished(
    output_dir: Path,
    experiment_id: str,
    curves: Mapping[str, Sequence[float]],
    training: Mapping[str, Sequence[float]] | None = None,
    **settings: Any,
) -> Experiment:
    """An experiment all of whose runs are complete; its arms' mean evaluations are `curves`."""
    experiment = new(output_dir, experiment_id, **settings)
    experiment.begin()
    for arm, evaluations in curves.items():
        train(experiment, arm, evaluations, (training or {}).get(arm, ()))
    experiment.stop()
    experiment.save()
    write_results(experiment)
    return experiment
