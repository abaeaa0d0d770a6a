"""What is begun before the command line is understood, and for which command lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.experiments.cli.ahead import LANGUAGE_WARM_UP, WARM_UP, warm_up_for
from src.experiments.execution import process_pool
from src.experiments.training import warm_ups


@pytest.fixture(autouse=True)
def nothing_is_left():
    process_pool.discard_spare()
    yield
    process_pool.discard_spare()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "exp.json"
    path.write_text("{}")
    return str(path)


def begun():
    return process_pool._spare and process_pool._spare[0]


@pytest.mark.parametrize("words", [["{}"], ["--config", "{}"], ["--config={}", "--json"]])
def test_an_experiment_file_lets_the_imports_of_training_begin(words, file):
    warm_up_for([word.format(file) for word in words])

    assert begun() == WARM_UP


@pytest.mark.parametrize(
    ("algorithms", "modules"),
    [(["PPO", "A2C"], WARM_UP), (["GRPO", "DR_GRPO"], LANGUAGE_WARM_UP)],
)
def test_they_are_those_that_the_runner_asks_for(algorithms, modules):
    assert warm_ups(algorithms) == modules


@pytest.mark.parametrize("algorithm", ["GRPO", "DR_GRPO"])
def test_a_file_of_language_models_lets_theirs_begin(algorithm, file):
    Path(file).write_text(json.dumps({"baseline_config": {"algorithm": algorithm}}))
    warm_up_for([file])

    assert begun() == LANGUAGE_WARM_UP


@pytest.mark.parametrize("words", [["--experiment-id", "own"], ["--experiment-id=own"]])
def test_so_does_an_experiment_of_them_that_goes_on(words, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "experiment_own.json").write_text('{"config": {"algorithm": "GRPO"}}')
    warm_up_for([*words, "--output-dir", str(tmp_path)])

    assert begun() == LANGUAGE_WARM_UP


def test_so_does_their_command_without_a_file():
    warm_up_for(["--seed", "3"], is_language=True)

    assert begun() == LANGUAGE_WARM_UP


@pytest.mark.parametrize("words", [["--experiment-id", "first"], ["--experiment-id=first"]])
def test_so_does_an_experiment_that_goes_on(words):
    warm_up_for(words)

    assert begun() == WARM_UP


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["absent.json"],
        ["a\0b", "x" * 5_000],
        ["--experiment-id"],
        ["--experiment-id", "../first"],
        ["--experiment-id=a\0b"],
        ["--experiment-id", "first", "--executor", "ray"],
        ["--experiment-id", "first", "--executor=in_process"],
        ["--experiment-id", "first", "--ray-address", "auto"],
        ["--experiment-id", "first", "-h"],
    ],
)
def test_nothing_begins_where_no_run_on_this_machine_is_asked_for(words):
    warm_up_for(words)

    assert begun() is None
