"""What Weights & Biases is told of a run, without its SDK."""

from math import inf, nan

from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.tracking.tracker import CodeState, RunConclusion, RunDescription
from src.experiments.tracking.wandb.content import (
    history_row,
    log_line,
    notes_of,
    run_config,
    summary_of,
    tags_of,
    text_files,
)


def description(**changes):
    fields = {
        "experiment_id": "gamma",
        "run": RunKey("variant", 7),
        "name": "gamma variant_seed7",
        "project": "cartpole",
        "uid": "0123456789abcdef",
    }
    return RunDescription(**{**fields, **changes})


def test_the_configuration_holds_the_parameters_as_they_are_and_where_they_come_from():
    config = run_config(
        description(
            parameters={"hyperparameters/gamma": 0.9, "net_arch": [64, 64]},
            differences={"hyperparameters/gamma": (0.99, 0.9)},
            code=CodeState(commit="abc", branch="main"),
            host="workstation",
            command="run exp.json",
            partner=RunKey("baseline", 7),
        )
    )

    assert config["hyperparameters/gamma"] == 0.9
    assert config["net_arch"] == [64, 64]
    assert config["experiment/difference"] == {
        "hyperparameters/gamma": {"baseline": 0.99, "variant": 0.9}
    }
    assert (config["experiment/arm"], config["experiment/seed"]) == ("variant", 7)
    assert config["experiment/partner"] == "baseline_seed7"
    assert (config["experiment/commit"], config["experiment/branch"]) == ("abc", "main")
    assert config["experiment/command"] == "run exp.json"


def test_an_infinite_parameter_is_told_in_words():
    assert run_config(description(parameters={"clip": inf}))["clip"] == "inf"


def test_notes_are_hypothesis_comment_and_verdict_as_far_as_there_are_any():
    told = description(hypothesis="faster", comment="first try")

    assert notes_of(told) == "faster\n\nfirst try"
    assert notes_of(told, "It is.") == "faster\n\nfirst try\n\nIt is."
    assert notes_of(description()) == ""


def test_tags_fit_the_server_and_come_once():
    told = description(tags=("PPO", "x" * 70, " ", "PPO", "x" * 80))

    assert tags_of(told) == ("PPO", "x" * 64)


def test_only_texts_that_there_are_become_files():
    assert text_files(description(packages="numpy==2.0\n")) == {"requirements.txt": "numpy==2.0\n"}


def test_a_row_has_its_step_and_every_metric_under_its_own_name():
    record = {"kind": "metrics", "step": 300, "metrics": {"train/loss": 1.5, "note": "no number"}}

    assert history_row(record, pages=False) == {"global_step": 300, "train/loss": 1.5}


def test_values_that_are_not_finite_stay_in_a_row():
    row = history_row({"kind": "metrics", "step": 1, "metrics": {"a": nan, "b": -inf}}, pages=False)

    assert row is not None
    assert str(row["a"]) == "nan"
    assert row["b"] == -inf


def test_a_text_is_a_column_of_its_own_where_no_page_is_wanted():
    record = {"kind": "text", "step": 2, "name": "examples/completion", "text": "hello"}

    assert history_row(record, pages=False) == {"global_step": 2, "examples/completion": "hello"}


def test_resources_and_checkpoints_are_rows_too():
    sample = {"kind": "resources", "step": 5, "cpu_percent": 50.0, "memory_mb": 10.0}

    assert history_row(sample, pages=False) == {
        "global_step": 5,
        "system/cpu_percent": 50.0,
        "system/memory_mb": 10.0,
    }
    assert history_row({"kind": "checkpoint", "step": 5}, pages=False) == {
        "global_step": 5,
        "checkpoint/saved": 1.0,
        "checkpoint/step": 5.0,
    }


def test_what_happened_is_a_line_of_the_log_and_no_row():
    record = {"kind": "rewound", "step": 5, "attempt": 2, "time": 0.0}

    assert history_row(record, pages=False) is None
    assert log_line(record) == ("1970-01-01T00:00:00.000Z WARNING rewound to step 5 for attempt 2")
    assert log_line({"kind": "metrics", "step": 1, "metrics": {}}) is None
    assert log_line({"kind": "text", "step": 1, "name": "a", "text": "b"}) is None


def test_the_summary_says_how_it_ended_in_numbers_and_words():
    ended = RunConclusion(
        RunStatus.FAILED, {"final/total_steps": 10.0}, verdict="", error="NaN at step 3"
    )

    assert summary_of(ended) == {
        "final/total_steps": 10.0,
        "status": "failed",
        "error": "NaN at step 3",
    }
