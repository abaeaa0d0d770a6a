"""GRPO and Dr. GRPO through the trainer: their journal, going on, several processes, learning."""

from __future__ import annotations

import json
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.experiments.domain.errors import NonFiniteError, RunStoppedError, TrainingError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import (
    CheckpointProtocol,
    EvaluationProtocol,
    RunKey,
    TrainerConfig,
)
from src.experiments.durability.journal import read_journal, without_wall_clock
from src.experiments.tasks.arithmetic import Question
from src.experiments.training import Trainer, recording
from src.experiments.training.backend import Metrics, create_backend
from src.experiments.training.floor import measure_floor
from src.experiments.training.rehearsal import rehearse
from tests.language import EASY, QUICK, needs_trl, newborn
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, needs_trl]

SHARED = {
    f"rollouts/{name}"
    for name in (
        "returns_sum", "returns_mean", "returns_std", "returns_max", "returns_min",
        "returns_best_mean", "advantages_mean", "advantages_std", "total_rollouts", "batch_step",
    )
} | {
    "training_step/loss", "training_step/grad_norm", "training_step/learning_rate",
    "training_epoch/loss_mean", "training_epoch/loss_std", "training_epoch/grad_norm_mean",
    "training_epoch/grad_norm_max", "training/invalid_loss_count", "accelerate/sync_gradients",
    "batch_returns/mean", "batch_returns/groups_alike", "trl/entropy",
}  # fmt: skip
OF_KL = {
    "rollouts/kl_mean", "rollouts/kl_std", "rollouts/kl_max", "training_step/kl",
    "training_epoch/kl_mean", "training_epoch/kl_std",
}  # fmt: skip
OF_DR_GRPO = {
    "dr_grpo/advantages_variance", "dr_grpo/advantages_skewness",
    "training_step/dr_component_policy",
}  # fmt: skip
EXAMPLE = "examples/completion"


def run_config(folder: Path, algorithm: str = "GRPO", **settings: Any) -> TrainerConfig:
    return TrainerConfig(
        algorithm,
        "arithmetic",
        8,
        seed=3,
        environment_kwargs=EASY,
        hyperparameters={**QUICK, "model_name": newborn(), "num_iterations": 2, **settings},
        evaluation=EvaluationProtocol(4, 8, deterministic=False, final_episodes=8),
        device="cpu",
        run_dir=folder / "runs" / "baseline_seed3",
        checkpoints=folder / "checkpoints" / "baseline_seed3",
        checkpoint=CheckpointProtocol(frequency=2, keep=2),
    )


def of_two_processes(folder: Path, module: str) -> TrainerConfig:
    """A run on the sums of a user's own module."""
    return replace(
        run_config(folder, processes=2, per_device_train_batch_size=4),
        environment=f"{module}:Sums",
        environment_modules=(module,),
    )


def journal(config: TrainerConfig) -> list[Any]:
    assert config.run_dir is not None
    records = read_journal(RunPaths(config.run_dir).journal)
    return [without_wall_clock(each) for each in records]


def metrics(config: TrainerConfig) -> Metrics:
    return [each["metrics"] for each in journal(config) if each["kind"] == "metrics"][-1]


def test_a_run_tells_every_metric_and_leaves_a_model_that_loads(tmp_path: Path) -> None:
    config = run_config(tmp_path, "DR_GRPO", beta=0.1)
    result = Trainer(config).train()

    told = metrics(config)
    assert SHARED | OF_KL | OF_DR_GRPO | {"training_step/dr_component_kl"} <= set(told)
    assert told["rollouts/total_rollouts"] == 8 * told["rollouts/batch_step"] == 32
    texts = [each for each in journal(config) if each["kind"] == "text"]
    assert {each["name"]: each["text"] for each in texts if each["name"] != EXAMPLE} == {
        "accelerate/device": "cpu",
        "accelerate/mixed_precision": "no",
    }
    assert EXAMPLE in {each["name"] for each in texts}
    assert result.total_timesteps == 8
    assert 0 <= result.final_mean_reward <= 1
    assert result.learned
    assert json.loads((tmp_path / "runs/baseline_seed3/attempt-1/predictions.json").read_text())
    assert not list(tmp_path.glob("runs/*/*/trl-*"))
    check_model(Path(str(result.model_path)), tmp_path / "unpacked")


def check_model(archive: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokens = AutoTokenizer.from_pretrained(folder)("1+2=", return_tensors="pt")
    assert model(**tokens).logits.shape[:2] == (1, 4)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_where_nothing_can_be_said_nothing_is_learned(tmp_path: Path, processes: int) -> None:
    batch = QUICK["per_device_train_batch_size"] // processes
    config = run_config(
        tmp_path,
        processes=processes,
        per_device_train_batch_size=batch,
        max_completion_length=2,
    )
    hard = {"largest": 99}

    assert not Trainer(replace(config, environment_kwargs=hard)).train().learned


@pytest.mark.slow
def test_what_grpo_lacks_is_absent(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    Trainer(config).train()

    told = set(metrics(config))
    assert told >= SHARED
    assert not told & (OF_KL | OF_DR_GRPO)
    assert not [name for name in told if name.startswith(("dr_grpo/", "ddp/", "system/gpu"))]


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "rows_of_a_run"), [(1, 8), (2, 8), (1, 2), (2, 2)])
def test_a_run_that_was_stopped_goes_on_as_if_it_never_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, rows_of_a_run: int
) -> None:
    # of two rows each is about two batches, and it is stopped in the middle of both
    monkeypatch.setattr(recording, "ROWS", rows_of_a_run)
    often = EvaluationProtocol(2, 8, deterministic=False, final_episodes=8)
    settings = {"processes": processes, "per_device_train_batch_size": 8 // processes, "beta": 0.1}
    whole = replace(run_config(tmp_path / "whole", **settings), evaluation=often)
    expected = Trainer(whole).train()
    config = replace(run_config(tmp_path / "stopped", **settings), evaluation=often)
    for attempt, step in enumerate((0, 2, 4, 6), 1):
        asked = asks_after(step, config)
        with pytest.raises(RunStoppedError):
            Trainer(replace(config, attempt=attempt), asked_to_stop=asked).train()
    result = Trainer(replace(config, attempt=5)).train()

    rows = [each["metrics"] for each in journal(whole) if each["kind"] == "metrics"]
    assert 2 * sum(each["training_epoch/grad_norm_max"] > 0 for each in rows) >= len(rows)
    assert result.parameters_sha256 == expected.parameters_sha256
    assert journal(config) == journal(whole)


def asks_after(step: int, config: TrainerConfig) -> Callable[[], bool]:
    assert config.run_dir is not None
    path = RunPaths(config.run_dir).journal
    return lambda: path.exists() and any(each["step"] >= step for each in read_journal(path))


@pytest.mark.slow
def test_two_processes_learn_from_one_batch_and_come_to_equal_parameters(tmp_path: Path) -> None:
    config = run_config(tmp_path, processes=2, per_device_train_batch_size=4)
    Trainer(config).train()

    told = metrics(config)
    assert told["ddp/num_processes"] == 2
    assert told["rollouts/total_rollouts"] == 32
    assert not followers()


@pytest.mark.slow
def test_what_dialogues_tell_of_themselves_is_averaged_over_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "telling_tasks.py").write_text(
        "import os\n"
        "from src.experiments.tasks.arithmetic import Arithmetic\n"
        "class Sums(Arithmetic):\n"
        "    def begin(self, rng, *, held_out):\n"
        "        problem = super().begin(rng, held_out=held_out)\n"
        "        problem.facts = lambda: {'rank': int(os.environ.get('RANK', 0))}\n"
        "        return problem\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = of_two_processes(tmp_path, "telling_tasks")
    Trainer(config).train()

    assert metrics(config)["task/rank"] == 0.5


@pytest.mark.slow
def test_a_rehearsal_weighs_all_processes_of_a_run(tmp_path: Path) -> None:
    alone, together = (
        rehearse(
            RunKey("baseline", 3),
            run_config(tmp_path, processes=count, per_device_train_batch_size=8 // count),
        )
        for count in (1, 2)
    )

    assert together.memory_mb > alone.memory_mb + 100
    assert together.memory_mb - together.shared_mb < 2.5 * alone.memory_mb
    assert not followers()


@pytest.mark.slow
def test_the_end_of_one_process_fails_the_run_by_name(tmp_path: Path) -> None:
    config = run_config(tmp_path, processes=2, per_device_train_batch_size=4)

    class Ending:
        next_step = 2

        def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
            self.next_step = 1000
            followers()[0].kill()

    with closing(create_backend("trl", config)) as backend:
        backend.build()
        with pytest.raises(TrainingError, match="process 2 of 2 ended with code -9"):
            backend.train(Ending())


@pytest.mark.slow
def test_a_process_that_ends_before_it_has_arrived_fails_the_run_at_once(tmp_path: Path) -> None:
    from src.experiments.training.trl.processes.ranks import MEETING_SECONDS

    config = run_config(tmp_path, processes=2, per_device_train_batch_size=4)
    started = time.monotonic()
    killer = threading.Thread(target=kill_the_first_follower)
    killer.start()
    try:
        with (
            closing(create_backend("trl", config)) as backend,
            pytest.raises(TrainingError, match="process 2 of 2 ended with code -9"),
        ):
            backend.build()
    finally:
        killer.join()

    assert time.monotonic() - started < MEETING_SECONDS  # who never comes was not waited for
    assert not followers()


def kill_the_first_follower() -> None:
    wait_until(followers, "another process is there")
    followers()[0].kill()


@pytest.mark.slow
def test_what_fails_in_one_process_alone_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.processes.ranks import MEETING_SECONDS

    (tmp_path / "fragile_tasks.py").write_text(
        "import os\n"
        "from src.experiments.tasks.arithmetic import Arithmetic as Sums\n"
        "if os.environ.get('RANK') == '1':\n"
        "    raise RuntimeError('not in this process')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = of_two_processes(tmp_path, "fragile_tasks")
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"process 2 of 2 ended.*not in this process"):
        Trainer(config).train()

    assert time.monotonic() - started < MEETING_SECONDS


def followers() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [each for each in found if any("follower" in word for word in each.cmdline())]


@pytest.mark.slow
def test_a_parameter_that_is_no_number_ends_the_run_by_name(tmp_path: Path) -> None:
    import torch

    class Spoiling:
        next_step = 2

        def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
            values = next(backend.learning.model.parameters())  # type: ignore[attr-defined]
            with torch.no_grad():
                values.fill_(float("nan"))

    with closing(create_backend("trl", run_config(tmp_path))) as backend:
        backend.build()
        with pytest.raises(
            NonFiniteError, match=r"parameter model\.embed_tokens\.weight at step 2"
        ):
            backend.train(Spoiling())


@pytest.mark.slow
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_gradient_that_is_no_number_ends_the_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    from src.experiments.training.trl.learning import Learning

    take = Learning.training_step

    def spoiled(self: Any, *args: Any) -> Any:
        loss = take(self, *args)
        if self.state.global_step == 2:
            next(self.model.parameters()).grad.fill_(float(value))
        return loss

    monkeypatch.setattr(Learning, "training_step", spoiled)
    with pytest.raises(NonFiniteError, match="norm of the gradients at step 3"):
        Trainer(run_config(tmp_path)).train()


@pytest.mark.slow
def test_a_reward_that_is_no_number_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = property(lambda _: float("nan"), lambda *_: None)
    monkeypatch.setattr(Question, "reward", nothing, raising=False)
    with closing(create_backend("trl", run_config(tmp_path))) as backend:
        backend.build()
        with pytest.raises(NonFiniteError, match="return of a completion at step 0"):
            backend.train(Unobserved())
    with pytest.raises(NonFiniteError, match="return of an evaluation episode at step 0"):
        Trainer(run_config(tmp_path)).train()


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_counted_before_it_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.learning import Learning

    compute = Learning._compute_loss

    def spoiled(self: Any, *args: Any) -> Any:
        loss = compute(self, *args)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(Learning, "_compute_loss", spoiled)
    config = run_config(tmp_path)
    with pytest.raises(NonFiniteError, match="loss at step 3"):
        Trainer(config).train()

    rows = [each for each in journal(config) if each["kind"] == "metrics"]
    counted = [(each["step"], each["metrics"]["training/invalid_loss_count"]) for each in rows]
    assert counted == [(2, 0), (3, 1)]


@pytest.mark.slow
def test_the_floor_of_a_task_is_next_to_nothing(tmp_path: Path) -> None:
    floor = measure_floor(run_config(tmp_path))

    assert 0 <= floor.return_mean < 0.2
    assert floor == measure_floor(run_config(tmp_path))


@pytest.mark.slow
def test_the_reward_of_the_calculator_rises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = {
        "model_name": "tiny",
        "learning_rate": 5e-4,
        "warmup_steps": 10,
        "num_generations": 16,
        "per_device_train_batch_size": 64,
        "max_completion_length": 48,
        "gradient_checkpointing": False,
    }
    config = TrainerConfig(
        "GRPO", "multiturn_calculator", 60, seed=1, hyperparameters=settings, device="cpu"
    )
    with closing(create_backend("trl", config)) as backend:
        backend.build()
        before, after = [], []
        before += backend.evaluate(range(200), deterministic=False)
        backend.train(Unobserved())
        after += backend.evaluate(range(200), deterministic=False)

    assert 0.15 < sum(each.reward_sum for each in before) / 200 < 0.5
    assert sum(each.reward_sum for each in after) / 200 > 0.5
    assert "calc(" in str(after[0].text)


class Unobserved:
    next_step = sys.maxsize

    def observe(self, step: int, collect: Callable[[], Metrics]) -> None:
        raise AssertionError(step)
