"""What a file may say of GRPO, and what is refused before anything is written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.grpo import OURS
from src.experiments.cli.grpo_flags import GrpoFlags, overrides_of
from src.experiments.config import (
    audit,
    load_experiment_file,
    parse_experiment,
    planned_timesteps,
    trainer_config,
)
from src.experiments.config.algorithms import LANGUAGE_TABLE
from src.experiments.config.loading import checked
from src.experiments.domain.errors import ConfigurationError, MissingExtraError
from src.experiments.domain.records import ExecutionMode
from src.experiments.experiment import Experiment
from src.experiments.runner import ExperimentRunner
from src.experiments.training.backend import backend_of, create_backend
from tests.language import HAS_TRL, needs_trl

ARM: dict[str, Any] = {
    "algorithm": "GRPO",
    "environment": "arithmetic",
    "hyperparameters": {"num_generations": 4, "per_device_train_batch_size": 8},
    "training_steps": 10,
    "seed": 1,
}
VARIANT = {"extends": "baseline", "algorithm": "DR_GRPO"}


def problems(change: dict[str, Any], **more: Any) -> dict[str, str]:
    document = {"baseline_config": {**ARM, **change}, "variant_config": VARIANT, **more}
    with pytest.raises(ConfigurationError) as caught:
        parse_experiment(document)
    return {problem.pointer: str(problem) for problem in caught.value.problems}


def with_settings(**settings: Any) -> dict[str, Any]:
    return {"hyperparameters": {**ARM["hyperparameters"], **settings}}


def test_a_variant_that_extends_the_other_algorithm_inherits_its_hyperparameters() -> None:
    config = parse_experiment({"baseline_config": ARM, "variant_config": VARIANT})

    assert config.variant_config.hyperparameters == ARM["hyperparameters"]
    assert [each.pointer for each in audit(config).differences] == ["/algorithm"]
    assert audit(config).warnings[:1] != ("the arms differ in 2 settings",)


@pytest.mark.parametrize(
    ("settings", "steps", "planned"),
    [
        ({}, 10, 10),
        ({"num_iterations": 4}, 10, 12),
        ({"generation_batch_size": 32}, 10, 12),
        ({"steps_per_generation": 6, "gradient_accumulation_steps": 2}, 10, 12),
        ({"generation_batch_size": 32, "processes": 2}, 9, 10),
    ],
)
def test_steps_are_rounded_up_to_whole_batches_of_completions(
    settings: dict[str, Any], steps: int, planned: int
) -> None:
    arm = {**ARM, **with_settings(**settings), "training_steps": steps}

    assert planned_timesteps(arm) == planned


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"environment": "arithmetics"}, "environment", "did you mean 'arithmetic'"),
        ({"environment": "CartPole-v1"}, "environment", "unknown task"),
        ({"environment": "os:path"}, "environment", "an experiment file cannot import"),
        ({"environment_kwargs": {"largest": 1}}, "environment_kwargs", "largest must be"),
        ({"n_envs": 2}, "n_envs", "has no use for it"),
        ({"normalize": True}, "normalize", "has no use for it"),
        ({"policy": "MlpPolicy"}, "policy", "has no use for it"),
        (with_settings(loss_type="dapo"), "hyperparameters/loss_type", "GRPO or DR_GRPO"),
        (with_settings(learning_rate=0), "hyperparameters/learning_rate", "greater than 0"),
        (with_settings(dtype="float8"), "hyperparameters/dtype", "must be one of float32"),
        (with_settings(groups=3), "hyperparameters/groups", "no such hyperparameter"),
        (with_settings(model_name="./nowhere"), "hyperparameters/model_name", "there is no model"),
        (
            with_settings(max_completion_length=4096),
            "hyperparameters/max_completion_length",
            "leaves no room for a prompt: the model has a context of 4096 tokens",
        ),
        (with_settings(processes=9), "hyperparameters/processes", "must be at most 8"),
        ({**with_settings(processes=2), "device": "cuda"}, "device", "train on the CPU only"),
        ({**with_settings(processes=2), "device": "cuda:1"}, "device", "train on the CPU only"),
        (with_settings(num_generations=3), "hyperparameters/num_generations", "must divide the 8"),
        (
            with_settings(delta=1.2),
            "hyperparameters/delta",
            "must be greater than 1.2, which is 1 + epsilon: a lower one takes the gradient",
        ),
        (
            with_settings(delta=1.5, epsilon=0.6),
            "hyperparameters/delta",
            "must be greater than 1.6",
        ),
        (
            with_settings(delta=1.28, epsilon_high=0.28),
            "hyperparameters/delta",
            "must be greater than 1.28, which is 1 + epsilon_high",
        ),
        (
            with_settings(generation_batch_size=12),
            "hyperparameters/generation_batch_size",
            "must be a multiple of per_device_train_batch_size × processes (8)",
        ),
        (
            with_settings(generation_batch_size=16, steps_per_generation=2),
            "hyperparameters/steps_per_generation",
            "contradicts",
        ),
        (
            with_settings(steps_per_generation=3, gradient_accumulation_steps=2),
            "hyperparameters/gradient_accumulation_steps",
            "must divide the 3 minibatches",
        ),
    ],
)
def test_what_could_not_be_trained_is_refused_at_its_place(
    change: dict[str, Any], pointer: str, message: str
) -> None:
    assert message in problems(change)[f"/baseline_config/{pointer}"]


@pytest.mark.parametrize(("budget", "is_refused"), [(31, False), (32, True)])
def test_a_completion_leaves_a_model_in_a_folder_room_for_a_prompt(
    tmp_path: Path, budget: int, is_refused: bool
) -> None:
    facts = {"architectures": ["GPT2LMHeadModel"], "n_positions": 32}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    (tmp_path / "vocab.json").write_text("{}")
    change = with_settings(model_name=str(tmp_path), max_completion_length=budget)
    document = {"baseline_config": {**ARM, **change}, "variant_config": VARIANT}
    if not is_refused:
        assert parse_experiment(document)
        return

    (told,) = problems(change).values()
    assert "/hyperparameters/max_completion_length: leaves no room for a prompt" in told
    assert "31 less the tokens of the longest prompt" in told


@pytest.mark.parametrize(
    ("processes", "device", "resolved"),
    [(1, "auto", "auto"), (2, "auto", "cpu"), (2, "cpu", "cpu"), (1, "cuda", "cuda")],
)
def test_several_processes_train_on_the_processor(
    processes: int, device: str, resolved: str
) -> None:
    arm = {**ARM, **with_settings(processes=processes), "device": device}

    assert trainer_config(arm, seed=1).device == resolved


@pytest.mark.parametrize(("cores", "is_told"), [(1, True), (2, False)])
def test_more_processes_than_cores_are_told_once(
    cores: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    arm = {**ARM, **with_settings(processes=2)}
    notices = audit(parse_experiment({"baseline_config": arm, "variant_config": VARIANT})).notices

    told = [each for each in notices if "2 processes train one run" in each]
    assert len(told) == is_told


@pytest.mark.parametrize(
    ("dtype", "learning_rate", "warns"),
    [
        ("bfloat16", 5e-6, True),
        ("bfloat16", 6e-5, True),
        ("bfloat16", 7e-5, False),
        ("float32", 5e-6, False),
    ],
)
def test_updates_that_are_rounded_away_are_told(
    dtype: str, learning_rate: float, warns: bool
) -> None:
    arm = {**ARM, **with_settings(dtype=dtype, learning_rate=learning_rate)}
    warnings = audit(parse_experiment({"baseline_config": arm, "variant_config": VARIANT})).warnings

    told = [
        each for each in warnings if each.startswith("both arms: hardly any weight will change")
    ]
    assert len(told) == warns


@pytest.mark.parametrize(
    "settings",
    [
        {"delta": 1.21},
        {"delta": 1.1, "epsilon": 0.05},
        {"delta": 1.2, "epsilon": 0.3, "epsilon_high": 0.1},
    ],
)
def test_a_delta_beyond_what_is_clipped_is_accepted(settings: dict[str, float]) -> None:
    document = {"baseline_config": {**ARM, **with_settings(**settings)}, "variant_config": VARIANT}

    assert parse_experiment(document).baseline_config.hyperparameters["delta"] == settings["delta"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"warmup_steps": 10}, "the last of the 10 steps learns at 0.00045"),
        ({"warmup_steps": 9}, None),
        ({"warmup_steps": 40}, "the last of the 10 steps learns at 0.0001125"),
        ({"warmup_steps": 10, "lr_scheduler_type": "cosine"}, "warmup_steps (10)"),
        ({"warmup_steps": 10, "lr_scheduler_type": "constant"}, None),
        ({"warmup_steps": 0.95}, "the last of the 10 steps learns at 0.00045"),
        ({"warmup_steps": 0.9}, None),
        # 12 steps are trained, whole batches
        ({"warmup_steps": 11, "num_iterations": 4}, None),
        ({"warmup_steps": 12, "num_iterations": 4}, "the last of the 12 steps"),
        ({}, None),
    ],
)
def test_a_learning_rate_that_is_never_reached_is_told(
    settings: dict[str, Any], told: str | None
) -> None:
    arm = {**ARM, **with_settings(learning_rate=5e-4, **settings)}
    warnings = audit(parse_experiment({"baseline_config": arm, "variant_config": VARIANT})).warnings

    found = [each for each in warnings if "learning_rate 0.0005 is never reached" in each]
    assert len(found) == (told is not None)
    assert all(each.startswith("both arms: ") and str(told) in each for each in found)


@needs_trl
@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup", "constant"])
@pytest.mark.parametrize("warmup_steps", [9, 10, 0.9, 0.95])
def test_a_learning_rate_is_told_as_never_reached_where_the_library_never_has_it(
    schedule: str, warmup_steps: float
) -> None:
    import torch
    from transformers import TrainingArguments, get_scheduler

    from src.experiments.config.language import language_warnings

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    made = TrainingArguments("nowhere", warmup_steps=warmup_steps, use_cpu=True)
    scheduler = get_scheduler(schedule, optimizer, made.get_warmup_steps(10), 10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    settings = {"learning_rate": 0.5, "lr_scheduler_type": schedule, "warmup_steps": warmup_steps}
    arm = checked({**ARM, **with_settings(**settings)})
    told = [each for each in language_warnings(arm) if "is never reached" in each]

    assert len(told) == (max(rates) < 0.5)
    assert all(f"learns at {rates[-1]:g}" in each for each in told)


def test_ratios_of_sequences_are_told_where_dr_grpo_weighs_them_by_length() -> None:
    arm = {**ARM, **with_settings(importance_sampling_level="sequence")}
    warnings = audit(parse_experiment({"baseline_config": arm, "variant_config": VARIANT})).warnings

    (told,) = [each for each in warnings if "importance_sampling_level" in each]
    assert told.startswith("variant: DR_GRPO weighs each completion by its length")


@needs_trl
def test_a_weight_moves_from_the_change_on_that_is_told() -> None:
    import torch

    from src.experiments.config.language import smallest_change

    weight = torch.tensor(0.02, dtype=torch.bfloat16)
    lost = smallest_change(float(weight))

    assert (weight.float() + 0.9 * lost).bfloat16() == weight
    assert (weight.float() + 1.1 * lost).bfloat16() != weight


def test_checkpoints_between_batches_alone_are_accepted() -> None:
    change = with_settings(num_iterations=4)

    found = problems(change, checkpoint={"frequency": 6})
    assert "must be a multiple of 4" in found["/checkpoint/frequency"]
    document = {"baseline_config": {**ARM, **change}, "variant_config": VARIANT}
    assert parse_experiment({**document, "checkpoint": {"frequency": 8}}).checkpoint.frequency == 8
    assert parse_experiment(document).checkpoint.frequency == 10_000


def test_where_none_is_named_checkpoints_lie_between_batches_and_what_is_saved_is_read_again(
    tmp_path: Path,
) -> None:
    arm = {**ARM, **with_settings(num_iterations=3)}
    experiment = Experiment(arm, VARIANT, "it goes on", output_dir=tmp_path)
    experiment.save()

    assert Experiment.load(experiment.experiment_dir).config.checkpoint.frequency == 10_002
    experiment.checkpoint_every(64)
    assert experiment.config.checkpoint.frequency == 66


def test_arms_on_different_tasks_are_refused() -> None:
    variant = {**VARIANT, "environment": "multiturn_qa"}
    with pytest.raises(ConfigurationError, match="the baseline trains on arithmetic"):
        parse_experiment({"baseline_config": ARM, "variant_config": variant})


@pytest.mark.skipif(HAS_TRL, reason="TRL is installed")
def test_without_the_extra_the_remedy_is_named() -> None:
    config = trainer_config(ARM, seed=1)

    assert backend_of(config.algorithm) == "trl"
    with pytest.raises(MissingExtraError, match="GRPO needs TRL"):
        create_backend("trl", config)


@pytest.mark.parametrize("mode", [ExecutionMode.SEQUENTIAL, ExecutionMode.VALIDATION])
def test_without_the_extra_nothing_is_written(
    mode: ExecutionMode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)  # as if it were not installed
    experiment = Experiment(ARM, VARIANT, "it learns faster", output_dir=tmp_path / "results")
    with pytest.raises(
        MissingExtraError, match=r"GRPO needs TRL.*-e '\.\[llm\]' -c constraints"
    ) as caught:
        ExperimentRunner(experiment, mode).run()

    assert caught.value.exit_code == 2
    assert not list(tmp_path.iterdir())


@needs_trl
def test_the_committed_table_is_what_the_installed_trl_says() -> None:
    from src.experiments.training.trl.signatures import signature_table

    assert json.loads(LANGUAGE_TABLE.read_text(encoding="utf-8")) == signature_table()


def meant(flags: GrpoFlags, path: Path = OURS, *, is_ours: bool = True) -> dict[str, Any]:
    """The baseline's hyperparameters that flags come to."""
    told = overrides_of(flags, json.loads(path.read_text(encoding="utf-8")), is_ours=is_ours)
    config = load_experiment_file(path, told)
    assert config.baseline_config.hyperparameters == config.variant_config.hyperparameters
    return dict(config.baseline_config.hyperparameters)


def test_the_flags_of_the_older_scripts_are_hyperparameters() -> None:
    flags = GrpoFlags(
        lr=1e-5, group_size=8, rollouts_per_step=8, train_batch_size=8, temperature=0.8,
        max_length=1024, max_prompts=100,
    )  # fmt: skip
    settings = meant(flags)

    assert settings["learning_rate"] == 1e-5
    assert (settings["num_generations"], settings["generation_batch_size"]) == (8, 64)
    assert settings["per_device_train_batch_size"] == 8
    assert (settings["temperature"], settings["max_completion_length"]) == (0.8, 1024)
    assert settings["max_prompts"] == 100


def test_a_larger_model_is_not_trained_at_the_tiny_one_s_rate() -> None:
    settings = meant(GrpoFlags(model_name="Qwen/Qwen2.5-3B-Instruct"))

    assert settings["learning_rate"] < 1e-5
    assert settings["per_device_train_batch_size"] == settings["num_generations"] == 8
    assert settings["gradient_checkpointing"] is True


def test_a_named_file_keeps_what_no_flag_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"baseline_config": ARM, "variant_config": VARIANT}))

    assert meant(GrpoFlags(), path, is_ours=False) == ARM["hyperparameters"]
    assert meant(GrpoFlags(lr=0.1), path, is_ours=False)["learning_rate"] == 0.1


def test_seed_task_and_checkpoints_of_the_flags_are_the_experiment_s() -> None:
    flags = GrpoFlags(seed=7, task="multiturn_calculator", checkpoint_interval=30)
    told = overrides_of(flags, json.loads(OURS.read_text(encoding="utf-8")), is_ours=True)
    config = load_experiment_file(OURS, told)

    assert config.seed_list == [7]
    assert config.variant_config.environment == "multiturn_calculator"
    assert config.checkpoint.frequency == 30
