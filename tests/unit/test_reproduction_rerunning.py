"""The runner of another place is carried to its end, watched, and ended with whoever waits."""

import os
import time
from contextlib import contextmanager

import pytest

from src.experiments.domain.errors import TrainingError, UsageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.reproduction import Onlooker
from src.experiments.reproduction.places import Place
from src.experiments.reproduction.rerunning import PlacedRunner, train_again
from tests.waiting import HANG_SECONDS

BEGIN = """
import os, pathlib, sys, time
print("error: no such environment", os.getcwd(), os.environ["PYTHONPATH"], sys.argv[1:])
root = pathlib.Path(sys.argv[1]) / "pair"
root.mkdir(parents=True)
"""
RESULTS = '(root / "experiment_pair.json").touch(); (root / "results.json").touch()\n'


@pytest.fixture
def place(tmp_path):
    (tmp_path / "code").mkdir()

    def with_program(program):
        (tmp_path / "code" / "pretended_runner.py").write_text(BEGIN + program)
        return Place(tmp_path / "code", (str(tmp_path / "code"),), "pretended_runner")

    return with_program


def train(tmp_path, place, **onlooker):
    results = tmp_path / "results"
    runner = PlacedRunner(place, [str(results)], tmp_path / "output.txt", dict(os.environ))
    train_again(runner, ExperimentPaths.under(results, "pair"), Onlooker(**onlooker))


def test_runs_that_fail_are_left_to_the_comparison(tmp_path, place):
    commands = []

    train(tmp_path, place(RESULTS + "sys.exit(1)"), started=commands.append)

    printed = (tmp_path / "output.txt").read_text()
    code = str(tmp_path / "code")
    assert printed.startswith(f"error: no such environment {code} {code} [")
    assert commands[0][1:3] == ("-m", "pretended_runner")


def test_a_refusal_is_passed_on(tmp_path, place):
    with pytest.raises(UsageError, match="the code refuses the experiment:\nerror: no such env"):
        train(tmp_path, place("sys.exit(2)"))


def test_an_end_without_results_is_a_failure(tmp_path, place):
    with pytest.raises(TrainingError, match=r"it ended with exit code 70:\nerror: no such"):
        train(tmp_path, place("sys.exit(70)"))


def test_it_is_watched_from_when_its_file_is_there_until_it_ends(tmp_path, place):
    seen = []

    @contextmanager
    def watching(paths):
        seen.append(paths.experiment.is_file())
        (paths.root / "watched").touch()
        yield
        seen.append("over")

    waiting = 'while not (root / "watched").exists(): time.sleep(0.01)'
    train(tmp_path, place(RESULTS + waiting), watching=watching)

    assert seen == [True, "over"]


def test_whoever_stops_waiting_ends_it(tmp_path, place):
    pid_file = tmp_path / "pid"
    program = f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(600)"

    def look():
        if pid_file.is_file() and pid_file.read_text():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, place(program), poll=look)

    assert time.monotonic() - began < HANG_SECONDS  # and did not wait for it
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
