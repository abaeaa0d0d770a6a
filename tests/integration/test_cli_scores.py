"""``experiments compare --scores``: the verdict on what another tool has written."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tests.integration.verdict_commands import Terminal
from tests.unit.compared_experiments import LATE, RISING, finished
from tests.waiting import HANG_SECONDS

COMPARISON_KEYS = {
    *("verdict", "sentence", "metric", "effect", "interval", "alpha", "p_value", "looks"),
    *("n_per_arm", "failed_per_arm"),
}
BETTER = "arm,seed,score\n" + "".join(
    f"{arm},{seed},{base + seed}\n"
    for arm, base in (("ddpg", 10), ("sac", 40))
    for seed in range(5)
)


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(capsys, tmp_path)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(BETTER)
    return path


def test_the_keys_of_a_comparison_stand_at_the_top(terminal: Terminal, scores: Path) -> None:
    found = terminal.told("compare", "--scores", scores)

    assert found.keys() >= COMPARISON_KEYS
    assert (found["verdict"], found["effect"]) == ("variant_better", 30.0)
    assert found["p_value"] == pytest.approx(2 / 252)
    assert found["interval"][0] < 30.0 < found["interval"][1]
    assert found["n_per_arm"] == {"ddpg": 5, "sac": 5}
    assert found["failed_per_arm"] == {"ddpg": 0, "sac": 0}
    assert (found["baseline"], found["variant"]) == ("ddpg", "sac")


def test_it_says_what_a_reports_verdict_says(terminal: Terminal, tmp_path: Path) -> None:
    experiment = finished(tmp_path, "pair", {"baseline": RISING, "variant": LATE}, seeds=2)
    rows = [
        f"{run.arm},{run.seed},{result.final_return}" for run, result in experiment.results.items()
    ]
    file = tmp_path / "same.csv"
    file.write_text("\n".join(["arm,seed,score", *rows]))

    found = terminal.told("compare", "--scores", file)

    report = json.loads(experiment.paths.results.read_text())["comparison"]
    assert {key: found[key] for key in COMPARISON_KEYS} == report


def test_a_person_reads_both_arms_the_verdict_and_what_is_behind_it(
    terminal: Terminal, scores: Path
) -> None:
    lines = [
        " ".join(line.split()) for line in terminal("compare", "--scores", scores).splitlines()
    ]

    assert "ddpg (baseline) 5 12.00 ± 1.58" in lines
    assert "sac (variant) 5 42.00 ± 1.58" in lines
    assert "variant better" in lines
    assert "Hedges' g +17.13" in lines
    assert (
        " ".join(lines).count("The sac is better: its final return is 42.00 against the ddpg's")
        == 1
    )
    assert not terminal.err


def test_the_rule_can_be_stated(terminal: Terminal, scores: Path) -> None:
    def verdict(*options: object) -> str:
        return str(terminal.told("compare", "--scores", scores, *options)["verdict"])

    assert verdict("--baseline", "sac") == "variant_worse"
    assert verdict("--direction", "minimize") == "variant_worse"
    assert verdict("--alpha", 0.001) == "insufficient_evidence"
    assert verdict("--paired") == "insufficient_evidence"  # of five pairs the smallest p is 0.0625
    assert verdict("--alpha", 0.001, "--equivalence-margin", 100) == "equivalent"
    noisy = BETTER.replace("sac,0,40", "sac,0,-90")
    scores.write_text(noisy)
    assert verdict() == "no_difference_shown"
    assert verdict("--minimum-effect", 1) == "insufficient_evidence"


def test_curves_count_with_their_last_tenth(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    rows = [
        f"{arm},{seed},{step},{(base + seed) * (step >= 900)}"
        for arm, base in (("ddpg", 10), ("sac", 40))
        for seed in range(5)
        for step in range(0, 1100, 100)
    ]
    file.write_text("\n".join(["arm,seed,step,score", *rows]))

    assert terminal.told("compare", "--scores", file)["effect"] == 30.0


def test_a_byte_order_mark_and_windows_lines_are_read(terminal: Terminal, scores: Path) -> None:
    scores.write_bytes(b"\xef\xbb\xbf" + BETTER.replace("\n", "\r\n").encode())

    assert terminal.told("compare", "--scores", scores)["verdict"] == "variant_better"


def test_what_a_program_writes_into_a_pipe_is_read(terminal: Terminal) -> None:
    # as `--scores <(...)` of a shell does
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"):
        with os.fdopen(writing, "wb") as file:
            file.write(BETTER.encode())
        found = terminal.told("compare", "--scores", f"/dev/fd/{reading}")

    assert found["verdict"] == "variant_better"


def test_a_pipe_without_a_writer_is_not_waited_for(terminal: Terminal, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    is_rescued = threading.Event()

    def let_go() -> None:  # who waits in spite of that
        is_rescued.set()
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    rescue = threading.Timer(HANG_SECONDS, let_go)
    rescue.start()

    terminal("compare", "--scores", pipe, code=2)

    rescue.cancel()
    assert not is_rescued.is_set()
    assert "it is empty" in terminal.err


def test_a_warning_is_told_beside_the_verdict(terminal: Terminal, scores: Path) -> None:
    scores.write_text(BETTER.replace("sac,4,44\n", ""))

    (warning,) = terminal.told("compare", "--scores", scores)["warnings"]
    assert warning.startswith("sac has no score of seed 4")
    terminal("compare", "--scores", scores)
    assert terminal.err.startswith("warning: sac has no score of seed 4")


WITH_FAILURES = BETTER.replace("sac,4,44\n", "sac,4,\n").replace("sac,3,43\n", "sac,3,nan\n")


def test_failed_runs_count_with_the_floor_that_is_stated(terminal: Terminal, scores: Path) -> None:
    scores.write_text(WITH_FAILURES)

    found = terminal.told("compare", "--scores", scores, "--floor", 9)

    assert found["effect"] == pytest.approx((40 + 41 + 42 + 9 + 9) / 5 - 12)
    assert found["n_per_arm"] == {"ddpg": 5, "sac": 5}
    assert found["failed_per_arm"] == {"ddpg": 0, "sac": 2}
    assert found["floor"] == 9.0
    assert found["sensitivity"]["failed_per_arm"] == {"ddpg": 0, "sac": 2}
    assert found["sensitivity"]["best"] == "variant_better"


def test_a_person_reads_how_many_failed_and_what_that_could_change(
    terminal: Terminal, scores: Path
) -> None:
    scores.write_text(WITH_FAILURES)

    told = " ".join(terminal("compare", "--scores", scores, "--floor", 9).split())

    assert "sac (variant) 5 2 41.00 ± 1.00" in told
    assert "their arm's floor: 2 of 5 sac runs with 9" in told
    assert told.count("depends on what a failed run is worth") == 1
    assert "0 of 5 ddpg runs and 2 of 5 sac runs failed (Fisher's exact test p = 0.44)" in told


def test_looks_count_failed_runs_as_present(terminal: Terminal, scores: Path) -> None:
    scores.write_text(WITH_FAILURES)

    found = terminal.told("compare", "--scores", scores, "--floor", 9, "--sequential", "5,2,5")

    assert [look["n_per_arm"] for look in found["looks"]] == [5]
    assert found["effect"] == pytest.approx((40 + 41 + 42 + 9 + 9) / 5 - 12)
    assert found["sensitivity"]["failed_per_arm"] == {"ddpg": 0, "sac": 2}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["pair", "--floor", "0"], "--floor applies only to --scores FILE"),
        (["--scores", "x.csv", "--floor", "nan"], "--floor must be a finite number"),
        (["pair", "--scores", "x.csv"], "both experiments and --scores are given"),
        (["pair", "--alpha", "0.1"], "--alpha applies only to --scores FILE"),
        (["pair", "--paired"], "--paired applies only to --scores FILE"),
        (["pair", "--baseline", "a"], "--baseline applies only to --scores FILE"),
        (["--minimum-effect", "3", "pair"], "--minimum-effect applies only to --scores FILE"),
        (["--scores", "x.csv", "--alpha", "0"], "--alpha must be above 0"),
        (["--scores", "x.csv", "--alpha", "0.6"], "--alpha must be above 0 and at most 0.5"),
        (["--scores", "x.csv", "--alpha", "nan"], "--alpha must be above 0"),
        (["--scores", "x.csv", "--equivalence-margin", "-1"], "--equivalence-margin must be"),
        (["--scores", "x.csv", "--minimum-effect", "inf"], "--minimum-effect must be"),
        (["--scores", "x.csv", "--direction", "up"], "Invalid value for '--direction'"),
        (["--scores", "no_such.csv"], "the scores cannot be opened (No such file or directory)"),
        (["--scores", "/"], "the scores cannot be opened (Is a directory)"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    terminal: Terminal, words: list[str], what: str
) -> None:
    assert terminal("compare", *words, code=2) == ""

    assert terminal.err.startswith(f"error: {what}")
    assert "  remedy: " in terminal.err


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"arm,seed,score\na,1,nan\nb,1,2\n", "scores.csv, line 2"),
        (b"arm,seed,score\na,1,2\na,1,3\n", "scores.csv, line 3"),
        (b"arm,seed,score\na,1,2\n\xff,1,3\n", "scores.csv, line 3"),
        ("arm,seed,score\na,1,2\nb,1,3\n".encode("utf-16"), "scores.csv, line 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(
    terminal: Terminal, scores: Path, content: bytes, what: str
) -> None:
    scores.write_bytes(content)

    assert terminal.told("compare", "--scores", scores, code=2)["error"]["where"].endswith(what)
