"""Keys that `.env` alone holds: the caller's environment has them not, and no file either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from src.experiments.domain import redaction
from src.experiments.experiment import Experiment
from src.experiments.outputs.uploads import tellings_of
from src.experiments.runner import ExperimentRunner
from src.experiments.tracking.choosing import TrackingChoice

CANARY = "canary-of-a-file-7Zq"
MODULE = "tests.integration.telltale_environments"

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _keys_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("CLEARML_", "WANDB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(redaction, "_kept", set())
    Path(".env").write_text(f"CLEARML_API_SECRET_KEY={CANARY}\nWANDB_API_KEY={CANARY}-2\n")


def experiment(**arm: object) -> Experiment:
    baseline = {
        "algorithm": "PPO",
        "environment": "TelltaleCartPole-v0",
        "hyperparameters": {"n_steps": 32, "batch_size": 32, "n_epochs": 1},
        "training_steps": 64,
        "seed": 1,
        **arm,
    }
    return Experiment(
        baseline,
        {"extends": "baseline", "environment_kwargs": {"at": 40}},
        "it keeps a secret",
        experiment_id="pair",
        output_dir="out",
        trackers=["tensorboard"],
        evaluation={"frequency": 32, "episodes": 1, "final_episodes": 1},
        environment_modules=[MODULE],
        allow_different_environments=True,
        recovery={"strategy": "skip"},
    )


def test_choosing_trackers_leaves_the_environment_alone_and_keeps_the_keys() -> None:
    before = dict(os.environ)

    (telling,) = tellings_of(experiment(), TrackingChoice())

    assert dict(os.environ) == before
    assert telling.settings.environment["CLEARML_API_SECRET_KEY"] == CANARY
    assert telling.settings.secrets >= {CANARY, f"{CANARY}-2"}
    assert redaction.known_secrets() >= {CANARY, f"{CANARY}-2"}


@pytest.mark.slow
def test_a_run_with_trackers_leaves_the_environment_alone_and_writes_no_key() -> None:
    before = dict(os.environ)
    told = experiment()

    class Talkative(ExperimentRunner):
        def _start_monitoring(self) -> None:
            self.logger.warning("the key is %s", CANARY)
            super()._start_monitoring()

    Talkative(told, tracking=TrackingChoice(log_dir=Path("out/board"))).run()

    assert dict(os.environ) == before
    assert f"the key is {redaction.REDACTED}" in told.paths.runner_log.read_text()
    log = told.paths.training_log("variant").read_text()
    assert "logged in with" in log
    assert redaction.REDACTED in log
    assert "login failed: " in told.paths.results.read_text()
    written = [path for path in Path("out").rglob("*") if path.is_file()]
    assert len(written) > 20
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []
