"""``experiments power``: seeds for an effect, from a stated spread or from a pilot."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from src.experiments.domain.records import RunStatus
from tests.integration.verdict_commands import Terminal
from tests.unit.compared_experiments import LATE, RISING, new, train

PILOT = "arm,seed,score\na,1,10\na,2,14\nb,1,100\nb,2,104\n"
"""Of standard deviation √8 about either mean."""


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(capsys, tmp_path)


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    path = tmp_path / "pilot.csv"
    path.write_text(PILOT)
    return path


def test_seeds_for_an_effect_and_a_spread(terminal: Terminal) -> None:
    found = terminal.told("power", "--effect", 20, "--sd", 20)

    assert (found["seeds_per_arm"], found["effect_in_sd"]) == (17, 1.0)
    assert found["fewest_that_can_decide"] == 4
    assert found["sentence"] == (
        "To show a difference of 20 with 80 % power (α = 0.05, standard deviation 20.00), "
        "run 17 seeds per arm."
    )
    assert [row["n"] for row in found["table"]] == list(range(3, 31))
    at = {row["n"]: row for row in found["table"]}
    assert at[17]["power"] >= 0.8 > at[16]["power"]
    assert at[3]["detectable"] == pytest.approx(20 * 3.07, rel=1e-3)


def test_a_person_reads_a_sentence_and_a_table(terminal: Terminal) -> None:
    text = terminal("power", "--effect", 20, "--sd", 20)
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "run 17 seeds per arm." in " ".join(lines)
    assert "3 61.42 3.07 0 % 0.1 > α" in lines
    assert "10 26.50 1.32 56.2 % < 0.0001" in lines
    assert "fewer than 4 seeds cannot decide" in " ".join(lines)


def test_it_says_so_when_no_affordable_number_would_do(terminal: Terminal) -> None:
    found = terminal.told("power", "--effect", 0.01, "--sd", 20)

    assert found["seeds_per_arm"] is None
    assert found["sentence"].endswith(
        "no affordable number of seeds would do: more than 10,000 per arm. "
        "Reduce the noise, or ask for a larger effect."
    )


def test_without_an_effect_the_table_tells_what_can_be_shown(terminal: Terminal) -> None:
    found = terminal.told("power", "--sd", 2, "--alpha", 0.01)

    assert found["seeds_per_arm"] is None
    assert found["sentence"].startswith("At least 5 seeds per arm")
    assert all(row["power"] is None for row in found["table"])


def test_a_pilots_file_gives_the_spread_and_how_little_is_known_of_it(
    terminal: Terminal, pilot: Path
) -> None:
    found = terminal.told("power", "--pilot", pilot, "--effect", 4)

    assert found["sd"] == pytest.approx(math.sqrt(8))
    assert (found["pilot"]["runs"], found["pilot"]["degrees_of_freedom"]) == (4, 2)
    # 20 % point of chi-square with two degrees: -2 ln 0.8
    assert found["pilot"]["sd_upper"] == pytest.approx(math.sqrt(16 / (-2 * math.log(0.8))))
    assert found["pilot"]["seeds_per_arm_at_sd_upper"] > found["seeds_per_arm"]
    assert "It may well be larger: up to 5.99 with 80 % confidence" in terminal(
        "power", "--pilot", pilot, "--effect", 4
    )


def test_a_pilot_of_pairs_has_the_spread_of_their_differences(
    terminal: Terminal, pilot: Path
) -> None:
    pilot.write_text(PILOT.replace("b,2,104", "b,2,106\nb,3,7"))

    found = terminal.told("power", "--pilot", pilot, "--paired")
    # differences 90 and 92; seed 3 has no pair
    assert found["sd"] == pytest.approx(math.sqrt(2))
    assert found["pilot"]["degrees_of_freedom"] == 1
    assert found["fewest_that_can_decide"] == 6


def test_a_pilot_experiment_brings_its_rule_and_counts_what_failed(
    terminal: Terminal, tmp_path: Path
) -> None:
    rule = {"alpha": 0.01, "minimum_effect": 3.0, "metric": "auc"}
    experiment = new(tmp_path, "pilot", seeds=[1, 2, 3], comparison=rule)
    experiment.begin()
    for arm, curve in (("baseline", RISING), ("variant", LATE)):
        train(experiment, arm, curve, seeds=[1, 2])
    broken = {"seed": 3, "success": False, "status": RunStatus.FAILED, "error": "NaN"}
    experiment.add_result("variant", broken)
    experiment.save()

    found = terminal.told("power", "--pilot", "pilot")

    assert (found["alpha"], found["effect"]) == (0.01, 3.0)
    assert found["sd"] == pytest.approx(math.sqrt(2))  # two seeds of each arm lie 2 apart
    assert (found["pilot"]["runs"], found["pilot"]["without_score"]) == (4, 2)
    assert "2 runs without a score" in " ".join(terminal("power", "--pilot", "pilot").split())


def test_an_experiment_of_one_seed_is_no_pilot(terminal: Terminal, tmp_path: Path) -> None:
    experiment = new(tmp_path, "single", seeds=[1])
    experiment.begin()
    for arm in ("baseline", "variant"):
        train(experiment, arm, RISING, seeds=[1])
    experiment.save()

    terminal("power", "--pilot", "single", code=2)
    assert "error: the pilot has fewer than two runs of an arm" in terminal.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "neither --sd nor --pilot given"),
        (["--effect", "2"], "neither --sd nor --pilot given"),
        (["--sd", "2", "--pilot", "x"], "both --sd and --pilot given"),
        (["--sd", "0"], "--sd must be a size above 0"),
        (["--sd", "nan"], "--sd must be a size above 0"),
        (["--sd", "1", "--effect", "-3"], "--effect must be a size above 0"),
        (["--sd", "1", "--alpha", "1"], "--alpha must be above 0"),
        (["--sd", "1", "--power", "1"], "--power must lie between alpha (0.05) and 1"),
        (["--sd", "1", "--power", "0.01"], "--power must lie between alpha (0.05) and 1"),
        (["--pilot", "no_such"], "no experiment no_such exists"),
        (["--pilot", "no/such.csv"], "the scores cannot be opened"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    terminal: Terminal, words: list[str], what: str
) -> None:
    assert terminal("power", *words, code=2) == ""

    assert terminal.err.startswith(f"error: {what}")
    assert "  remedy: " in terminal.err


@pytest.mark.parametrize(
    ("rows", "paired", "what"),
    [
        ("a,1,2\nb,1,3\n", False, "the pilot has fewer than two runs of an arm"),
        ("a,1,2\na,2,2\n", False, "the pilot's runs do not vary"),
        ("a,1,2\na,2,3\n", True, "a paired design needs two arms, and there are 1"),
        ("a,1,2\na,2,3\nb,1,2\nb,7,9\n", True, "fewer than two seeds that both arms have"),
    ],
)
def test_a_pilot_that_tells_nothing_is_refused(
    terminal: Terminal, pilot: Path, rows: str, paired: bool, what: str
) -> None:
    pilot.write_text("arm,seed,score\n" + rows)

    terminal("power", "--pilot", pilot, *(["--paired"] if paired else []), code=2)
    assert what in terminal.err
