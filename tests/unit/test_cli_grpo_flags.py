"""The flags of `experiments grpo`: each changes what it names, and what must follow from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.app import main
from src.experiments.cli.grpo_flags import GrpoFlags, overrides_of
from src.experiments.config import parse_experiment
from src.experiments.config.algorithms import algorithms
from src.experiments.config.generations import generation_of
from src.experiments.config.overrides import apply_overrides
from src.experiments.config.rules import full_settings
from src.experiments.domain.errors import UsageError

GROUP_4_OF_16 = {
    "num_generations": 4,
    "generation_batch_size": 64,
    "per_device_train_batch_size": 32,
}
"""16 prompts, 4 completions each, learned from in two minibatches."""


def document(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    arm = {
        "algorithm": "GRPO",
        "environment": "arithmetic",
        "hyperparameters": settings,
        "training_steps": 8,
        "seed": 1,
    }
    variant = {"extends": "baseline", "algorithm": "DR_GRPO"}
    return {"baseline_config": arm, "variant_config": variant, **more}


def resulting(flags: GrpoFlags, file: dict[str, Any]) -> list[dict[str, Any]]:
    """The hyperparameters of both arms, in full, after a check of the whole."""
    told = overrides_of(flags, file, is_ours=False)
    changed, refused = apply_overrides(file, told)
    assert not refused
    config = parse_experiment(changed, arms_may_be_equal=True)
    return [
        full_settings(algorithms()[arm.algorithm], arm.hyperparameters)
        for arm in (config.baseline_config, config.variant_config)
    ]


@pytest.mark.parametrize(
    ("settings", "typed", "prompts", "group", "minibatch", "steps"),
    [
        # a group of another size: as many prompts, the same minibatch
        (GROUP_4_OF_16, {"group_size": 8}, 16, 8, 32, 4),
        (GROUP_4_OF_16, {"group_size": 2}, 16, 2, 32, 1),
        # which no longer divides: as many minibatches as before
        (GROUP_4_OF_16, {"group_size": 3}, 16, 3, 24, 2),
        # and where that does not either: the largest below that divides
        ({**GROUP_4_OF_16, "per_device_train_batch_size": 64}, {"group_size": 3}, 16, 3, 48, 1),
        (GROUP_4_OF_16, {"rollouts_per_step": 8}, 8, 4, 32, 1),
        (GROUP_4_OF_16, {"rollouts_per_step": 3}, 3, 4, 6, 2),
        (GROUP_4_OF_16, {"rollouts_per_step": 32}, 32, 4, 32, 4),
        (GROUP_4_OF_16, {"train_batch_size": 8}, 16, 4, 8, 8),
        (GROUP_4_OF_16, {"train_batch_size": 64}, 16, 4, 64, 1),
        (GROUP_4_OF_16, {"processes": 2}, 16, 4, 16, 2),
        (GROUP_4_OF_16, {"processes": 4, "train_batch_size": 16}, 16, 4, 16, 1),
        (GROUP_4_OF_16, {"group_size": 8, "rollouts_per_step": 2}, 2, 8, 8, 2),
        (GROUP_4_OF_16, {"group_size": 8, "train_batch_size": 16}, 16, 8, 16, 8),
        (GROUP_4_OF_16, {"rollouts_per_step": 6, "train_batch_size": 12}, 6, 4, 12, 2),
        (
            GROUP_4_OF_16,
            {"group_size": 2, "rollouts_per_step": 12, "train_batch_size": 3, "processes": 4},
            12, 2, 3, 2,
        ),
        # a file that says it the other way
        (
            {"num_generations": 4, "per_device_train_batch_size": 8, "steps_per_generation": 6},
            {"group_size": 8},
            12, 8, 8, 12,
        ),
        (
            {"num_generations": 4, "per_device_train_batch_size": 8},
            {"train_batch_size": 4},
            2, 4, 4, 2,
        ),
        # several minibatches to a step of the optimiser
        (
            {**GROUP_4_OF_16, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 4},
            {"rollouts_per_step": 12},
            12, 4, 12, 4,
        ),
    ],
)  # fmt: skip
def test_flags_about_batches_change_no_more_than_they_name(
    settings: dict[str, Any],
    typed: dict[str, int],
    prompts: int,
    group: int,
    minibatch: int,
    steps: int,
) -> None:
    for after in resulting(GrpoFlags(**typed), document(settings)):
        generation = generation_of(after)

        assert (generation.prompts, after["num_generations"]) == (prompts, group)
        assert generation.completions == prompts * group
        assert (after["per_device_train_batch_size"], generation.steps) == (minibatch, steps)
        assert after["processes"] == typed.get("processes", 1)


def test_arms_that_differ_keep_their_difference_where_no_flag_was_typed() -> None:
    file = document(GROUP_4_OF_16)
    file["variant_config"] = {
        "extends": "baseline",
        "hyperparameters": {"per_device_train_batch_size": 16, "generation_batch_size": 32},
    }
    baseline, variant = resulting(GrpoFlags(group_size=8), file)

    assert [generation_of(each).prompts for each in (baseline, variant)] == [16, 8]
    assert [each["per_device_train_batch_size"] for each in (baseline, variant)] == [32, 16]


def test_what_a_flag_got_wrong_is_told_once_where_the_variant_extends_the_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grpo", "--task", "riddles", "--output-dir", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "1 problem" in told
    assert "variant" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--max-length", "5000"], "--max-length: leaves no room for a prompt"),
        (["--task", "riddles"], "--task: unknown task"),
        (["--temperature", "101"], "--temperature: must be at most 100; got 101"),
        (["--lr", "11"], "--lr: must be at most 10; got 11"),
        (["--model-name", "./nowhere"], "--model-name: there is no model"),
        (["--group-size", "5000"], "--group-size: must be at most 4096; got 5000"),
        (["--seed", "5000000000"], "--seed: "),
        (["--device", "cuda", "--processes", "2"], "--device: 2 processes"),
    ],
)
def test_what_a_flag_got_wrong_is_told_by_the_flag(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grpo", *words, "--output-dir", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: 1 problem\n  {told}")
    assert not list(tmp_path.iterdir())


def test_what_a_file_or_an_override_got_wrong_is_told_by_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(document({**GROUP_4_OF_16, "top_p": 2})))
    place = "baseline_config.hyperparameters.max_completion_length"
    words = ["--lr", "11", "--max-length", "30", "--set", f"{place}=5000"]

    assert main(["grpo", str(file), *words, "--output-dir", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: 3 problems in {file}\n")
    assert "  --lr: must be at most 10" in error
    assert "  /baseline_config/hyperparameters/max_completion_length: leaves no room" in error
    assert "  /baseline_config/hyperparameters/top_p: must be at most 1" in error


def test_of_arms_that_are_described_apart_a_flag_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = document(GROUP_4_OF_16)
    both["variant_config"] = {**both["baseline_config"], "algorithm": "DR_GRPO"}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(both))

    assert main(["grpo", str(file), "--lr", "11", "--output-dir", str(tmp_path / "results")]) == 2
    assert capsys.readouterr().err.startswith("error: 1 problem\n  --lr: must be at most 10")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"train_batch_size": 24}, "--train-batch-size 24: the 64 completions"),
        ({"group_size": 3, "train_batch_size": 32}, "--group-size 3 --train-batch-size 32: the 48"),
        ({"processes": 3}, "--processes 3: the 64 completions .* on each of 3 processes"),
        (
            {"checkpoint_interval": 3},
            "--checkpoint-interval 3: .* each batch takes 2 steps; give a",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused_by_the_flags_typed(
    typed: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        overrides_of(GrpoFlags(**typed), document(GROUP_4_OF_16), is_ours=False)


def test_checkpoints_of_the_file_go_on_to_lie_between_batches() -> None:
    file = document(GROUP_4_OF_16, checkpoint={"frequency": 6})

    assert "checkpoint.frequency=8" in overrides_of(
        GrpoFlags(train_batch_size=16), file, is_ours=False
    )
    told = overrides_of(GrpoFlags(lr=0.1), file, is_ours=False)
    assert not [each for each in told if each.startswith("checkpoint")]


def test_a_file_with_numbers_that_are_none_is_refused_on_its_own_account() -> None:
    file = document({**GROUP_4_OF_16, "num_generations": "four"})

    assert overrides_of(GrpoFlags(train_batch_size=8), file, is_ours=False) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--group-size", "0"),
        ("--group-size", "1"),
        ("--rollouts-per-step", "0"),
        ("--train-batch-size", "-8"),
        ("--max-length", "0"),
        ("--max-prompts", "0"),
        ("--processes", "0"),
        ("--processes", "9"),
        ("--checkpoint-interval", "0"),
        ("--seed", "-1"),
        ("--lr", "0"),
        ("--lr", "nan"),
        ("--temperature", "-1"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_as_they_were_typed(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"

    assert main(["grpo", option, value, "--output-dir", str(folder)]) == 2
    assert f"Invalid value for '{option}'" in capsys.readouterr().err
    assert not folder.exists()


def test_what_set_says_is_what_flags_go_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "baseline_config.hyperparameters.per_device_train_batch_size"
    words = ["grpo", "--processes", "3", "--output-dir", str(tmp_path / "results")]

    assert (
        main([*words, "baseline_config.hyperparameters.generation_batch_size=64", f"{name}=64"])
        == 2
    )
    assert "--processes 3: the 64 completions" in capsys.readouterr().err
