"""``experiments calibrate``: recorded runs resampled, and the baseline trained against itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.opening import Question, load, open_config
from src.experiments.cli.training_twice import calibration_of
from src.experiments.domain.errors import UsageError
from src.experiments.domain.records import RunKey
from src.experiments.experiment import Experiment
from tests.integration.verdict_commands import Terminal
from tests.unit.compared_experiments import LATE, RISING, finished

SCORES = "arm,seed,score\n" + "".join(
    f"{arm},{seed},{base + seed * seed % 11}\n"
    for arm, base in (("sac", 40), ("ddpg", 10), ("baseline", 10))
    for seed in range(8)
)
PPO = {"n_steps": 128, "batch_size": 64, "n_epochs": 1}
QUESTION: dict[str, Any] = {
    "experiment_id": "tiny",
    "seeds": [7, 9],
    "baseline_config": {
        "algorithm": "PPO",
        "environment": "CartPole-v1",
        "training_steps": 256,
        "seed": 7,
        "hyperparameters": PPO,
    },
    "variant_config": {"extends": "baseline", "hyperparameters": {"gamma": 0.9}},
    "evaluation": {"frequency": 128, "episodes": 2, "final_episodes": 4},
}


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(capsys, tmp_path / "out")


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(SCORES)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(QUESTION))
    return path


# --- recorded runs -----------------------------------------------------------------------------


def test_one_arms_scores_are_resampled_under_the_rule_that_is_stated(
    terminal: Terminal, scores: Path
) -> None:
    found = terminal.told("calibrate", "--scores", scores, "--arm", "sac", "--alpha", 0.1)

    assert (found["runs"], found["seeds_per_arm"], found["arms"]) == (8, 8, ["sac"])
    assert found["alpha"] == 0.1
    assert 0.05 < found["false_positive_rate"] < 0.13
    assert found["chance_difference"] > 0


def test_looks_can_be_asked_for(terminal: Terminal, scores: Path) -> None:
    words = ("calibrate", "--scores", scores, "--arm", "sac", "--sequential", "4,2,10")

    found = terminal.told(*words)

    assert found["seeds_per_arm"] == 10
    assert found["plan"]["max_seeds"] == 10
    assert found["expected_seeds"] < 10


def test_failed_runs_are_among_them_with_the_floor(terminal: Terminal, scores: Path) -> None:
    scores.write_text(SCORES + "sac,8,\n")

    words = ("calibrate", "--scores", scores, "--arm", "sac")
    found = terminal.told(*words, "--floor", -60)

    plain = terminal.told(*words, code=2)
    assert "score is missing" in plain["error"]["what"]
    assert found["runs"] == 9
    assert found["sd"] > 25


def test_an_experiments_baseline_is_resampled_under_its_own_rule(
    terminal: Terminal, tmp_path: Path
) -> None:
    rule = {"alpha": 0.2, "minimum_effect": 5.0}
    finished(terminal.output_dir, "pair", {"baseline": RISING, "variant": LATE}, comparison=rule)

    found = terminal.told("calibrate", "pair", "--seeds", 6)
    by_folder = terminal.told("calibrate", terminal.output_dir / "pair", "--seeds", 6)

    assert found == by_folder
    assert (found["runs"], found["seeds_per_arm"], found["alpha"]) == (2, 6, 0.2)
    assert found["sd"] == pytest.approx(2**0.5)
    assert [each["effect"] for each in found["needed"]] == [5.0]


def test_a_person_reads_the_rate_the_noise_and_what_it_cannot_know(
    terminal: Terminal, scores: Path
) -> None:
    told = " ".join(
        terminal(
            "calibrate", "--scores", scores, "--arm", "ddpg", "--seeds", 5, "--effect", 3
        ).split()
    )

    assert "False alarms accepted (alpha) 5 %" in told
    assert "Difference that chance exceeds in 5 %" in told
    assert "Seeds per arm to show 3 " in told or "Seeds per arm to show 3.00" in told
    assert "knows nothing of runs that are better or worse than all of them" in told


def test_too_few_seeds_to_decide_are_warned_of(terminal: Terminal, scores: Path) -> None:
    terminal("calibrate", "--scores", scores, "--seeds", 3)

    assert "with fewer than 4 seeds per arm the rule can call nothing different" in " ".join(
        terminal.err.split()
    )


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "none of ID, FILE, --scores and --experiment-id given"),
        (["pair", "--scores", "x.csv"], "several of ID, FILE"),
        (["no_such"], "no experiment no_such exists"),
        (["pair", "--alpha", "0.1"], "--alpha applies only to --scores FILE"),
        (["pair", "--sequential", "4,2,10"], "--sequential applies only to --scores FILE"),
        (["pair", "--arm", "other"], "there is no arm 'other'"),
        (["pair", "--effect", "-1"], "--effect must be a size above 0"),
        (["pair", "--seeds", "1"], "groups of 1 seeds"),
        (["pair", "--set", "seeds=3"], "--set applies only to an experiment file"),
        (["pair", "--resume"], "--resume applies only to an experiment file"),
        (
            ["--experiment-id", "pair", "--seeds", "3"],
            "--seeds applies only to a new calibration",
        ),
        (["--experiment-id", "pair", "--arm", "variant"], "--arm applies only to recorded runs"),
        (["--experiment-id", "pair", "--alpha", "0.1"], "--alpha applies only to --scores FILE"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    terminal: Terminal, words: list[str], what: str
) -> None:
    finished(terminal.output_dir, "pair", {"baseline": RISING, "variant": LATE})

    terminal("calibrate", *words, code=2)

    assert terminal.err.startswith(f"error: {what}")
    assert "  remedy: " in terminal.err


# --- trained against itself --------------------------------------------------------------------


@pytest.mark.slow
def test_the_baseline_is_trained_against_itself_on_seeds_of_its_own(
    terminal: Terminal, file: Path
) -> None:
    lines = terminal("calibrate", file, "--seeds", 4, "--mode", "parallel", "--json").splitlines()

    outcome, found = (json.loads(line) for line in lines[-2:])
    assert outcome["experiment_id"] == "tiny_calibration"
    assert outcome["comparison"]["n_per_arm"] == {"baseline": 4, "variant": 4}
    assert outcome["comparison"]["verdict"] == "no_difference_shown"
    assert (found["runs"], found["seeds_per_arm"]) == (8, 4)
    assert found["arms"] == ["baseline", "variant"]

    experiment = Experiment.load(terminal.output_dir / "tiny_calibration")
    seeds = experiment.design.seeds
    assert seeds == {"baseline": (7, 9, 10, 11), "variant": (12, 14, 15, 16)}
    assert not experiment.audit.differences
    hashes = {result.parameters_sha256 for result in experiment.results.values()}
    assert len(hashes) == 8
    assert experiment.paths.run(RunKey("variant", 16)).journal.is_file()
    assert experiment.paths.report_page.is_file()

    terminal("calibrate", file, "--seeds", 4, code=2)
    assert "experiment tiny_calibration already exists" in terminal.err
    again = terminal("calibrate", file, "--seeds", 4, "--resume")
    assert "False alarms accepted (alpha)" in again
    later = terminal.told("calibrate", "tiny_calibration")
    assert later == found


@pytest.mark.slow
def test_a_calibration_that_was_begun_goes_on(terminal: Terminal, file: Path) -> None:
    question = Question(config=file, experiment_id=None, output_dir=terminal.output_dir)
    begun = open_config(question, calibration_of(load(question)), {"variant": 3})
    begun.begin()
    begun.pause()
    begun.save()

    told = terminal("calibrate", "--experiment-id", "tiny_calibration")

    assert "A/A: 4 runs of the two equal arms" in " ".join(told.split())
    experiment = Experiment.load(terminal.output_dir / "tiny_calibration")
    assert sorted(run.seed for run in experiment.results) == [7, 9, 10, 12]


def test_an_experiment_that_is_no_calibration_is_not_continued_as_one(
    terminal: Terminal,
) -> None:
    finished(terminal.output_dir, "pair", {"baseline": RISING, "variant": LATE})

    terminal("calibrate", "--experiment-id", "pair", code=2)

    assert "pair is not a calibration" in terminal.err


def test_early_ends_and_pairs_have_no_place_in_it(file: Path, tmp_path: Path) -> None:
    asked = {**QUESTION, "early_abort": {"looks": [0.5]}, "comparison": {"paired": True}}
    file.write_text(json.dumps(asked))

    found = calibration_of(load(Question(file, None, tmp_path)), 2)

    assert found.early_abort is None
    assert not found.rule.paired
    assert found.seed_list == [7, 9]


@pytest.mark.parametrize(
    ("change", "seeds", "what"),
    [
        ({}, 1, "--seeds 1"),
        (
            {"comparison": {"sequential": {"first_look": 4, "batch": 2, "max_seeds": 6}}},
            8,
            "comparison.sequential says how many",
        ),
    ],
)
def test_numbers_of_seeds_that_make_no_sense_are_refused(
    file: Path, tmp_path: Path, change: dict[str, Any], seeds: int, what: str
) -> None:
    file.write_text(json.dumps({**QUESTION, **change}))

    with pytest.raises(UsageError, match=what):
        calibration_of(load(Question(file, None, tmp_path)), seeds)
