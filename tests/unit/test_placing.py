"""What runs need of a machine, several processes of one run counted each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from src.experiments.execution.admission import admit
from src.experiments.execution.registry import executor_kind
from src.experiments.experiment import Experiment
from src.experiments.monitoring import Limits
from src.experiments.orchestration.placing import needs_of, room_for


def pair(folder: Path, **settings: Any) -> Experiment:
    arm = {
        "algorithm": "GRPO",
        "environment": "arithmetic",
        "hyperparameters": {"num_generations": 4, "per_device_train_batch_size": 4, **settings},
        "training_steps": 4,
        "seed": 1,
    }
    variant = {"extends": "baseline", "algorithm": "DR_GRPO"}
    return Experiment(arm, variant, "it learns faster", output_dir=folder)


def test_each_process_of_a_run_needs_its_threads(tmp_path: Path) -> None:
    kind = executor_kind("ray")

    assert [each.cpus for each in needs_of(pair(tmp_path, processes=3), [], kind).values()] == [
        3,
        3,
    ]
    assert [each.cpus for each in needs_of(pair(tmp_path), [], kind).values()] == [1, 1]


@pytest.mark.parametrize(("processes", "slots"), [(1, 2), (2, 1)])
def test_a_pair_of_two_processes_each_is_not_let_in_at_once_on_two_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, slots: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    experiment = pair(tmp_path, processes=processes)
    room = room_for(experiment, Limits(), executor_kind("process"))

    assert admit([], 2, room, experiment.config.torch_threads).slots == slots
