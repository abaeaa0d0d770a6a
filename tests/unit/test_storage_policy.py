from pathlib import Path

import pytest

from src.experiments.domain.storage_policy import Storage, StoragePolicy
from src.experiments.experiment import Experiment
from src.experiments.outputs.derived import storage_policy

ARM = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 64, "seed": 1}


@pytest.mark.parametrize(
    ("storage", "model", "figure"),
    [
        (Storage.STANDARD, True, True),
        (Storage.HYBRID, True, False),
        (Storage.TRACKER_ONLY, False, False),
    ],
)
def test_what_stays_is_made_and_whatever_a_tracker_gets(
    storage: Storage, model: bool, figure: bool
) -> None:
    nobody, wandb = StoragePolicy(storage), StoragePolicy(storage, wandb=True)
    another = StoragePolicy(storage, others=True)

    for policy in (nobody, wandb, another):
        assert policy.should_save_locally() is model
        assert policy.should_save_locally(figure=True) is figure
    assert (nobody.should_make(), nobody.should_make(figure=True)) == (model, figure)
    for told in (wandb, another):
        assert told.should_make()
        assert told.should_make(figure=True)


@pytest.mark.parametrize(
    ("trackers", "logs_to_wandb", "makes_figures"),
    [([], False, False), (["wandb"], True, True), (["tensorboard"], False, True)],
)
def test_the_experiments_trackers_decide(
    tmp_path: Path, trackers: list[str], logs_to_wandb: bool, makes_figures: bool
) -> None:
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    experiment = Experiment(
        ARM, variant, "x", output_dir=tmp_path, trackers=trackers, storage="hybrid"
    )

    policy = storage_policy(experiment)
    assert policy.should_log_to_wandb() is logs_to_wandb
    assert policy.should_make(figure=True) is makes_figures
