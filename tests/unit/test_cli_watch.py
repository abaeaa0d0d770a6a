"""``experiments watch`` as a person and a program meet it."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from src.experiments.cli.app import main
from src.experiments.domain.records import RunStatus
from src.experiments.durability.files import write_json
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment

from .written_experiments import FIRST, SECOND, Training, new_experiment, write_session

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 30.0
NEVER = r"(?!)"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    experiment = new_experiment(tmp_path)
    experiment.publish()
    return experiment


def watch(experiment: Experiment, *options: str) -> int:
    return main(["watch", "pair", "--output-dir", str(experiment.output_dir), *options])


def command(experiment: Experiment, *options: str) -> list[str]:
    words = [sys.executable, "-m", "src.experiments", "watch", "pair"]
    return [*words, "--output-dir", str(experiment.output_dir), *options]


def end_it(experiment: Experiment, **results: Any) -> None:
    """Two of four runs have ended, and the experiment has."""
    with FileLock(experiment.paths.lock):
        experiment.begin()
        Training(experiment, FIRST).start().row(4096, 90.0).end(RunStatus.COMPLETED)
        Training(experiment, SECOND).start().row(2048, 20.0).end(RunStatus.SKIPPED, "it exploded")
        experiment.stop()
        experiment.save()
        write_json(experiment.paths.results, {"status": "completed", **results})


def kill_it(experiment: Experiment) -> None:
    """A run trains, and then nobody holds the lock any more."""
    with FileLock(experiment.paths.lock):
        experiment.begin()
        moment = datetime.now(UTC)
        words = ["experiments", "run", "exp.json", "--mode", "parallel", "--max_workers=3"]
        write_session(experiment, moment, *words, "--set", "seeds=2")
        Training(experiment, FIRST).start().row(1024, 20.0)


def test_an_experiment_that_does_not_exist_is_the_error_of_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes, errors = [], []
    for name in ("watch", "show"):
        codes.append(main([name, "pair", "--output-dir", str(tmp_path)]))
        errors.append(capsys.readouterr().err)

    assert codes == [2, 2]
    assert errors[0] == errors[1]
    assert errors[0].startswith("error: no experiment pair exists")


def test_an_experiment_that_has_ended_is_told_once(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"arm": "baseline", "seed": 1, "status": "completed", "final_return": 90.0}
    comparison = {"verdict": "variant_better", "sentence": "It learns faster."}
    end_it(experiment, runs=[run], comparison=comparison)

    assert watch(experiment) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "variant better" in lines
    assert [line.split()[:3] for line in lines if line.startswith("baseline")] == [
        ["baseline", "1/1", "90.00"]
    ]
    assert not any("continue" in line for line in lines)


def test_json_tells_what_an_ended_experiment_came_to(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    end_it(experiment, comparison={"verdict": "insufficient_evidence"})

    assert watch(experiment, "--json") == 0
    *events, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(event["event"], event["run"], event["status"]) for event in events] == [
        ("run_kept", "baseline_seed1", "completed"),
        ("run_started", "variant_seed1", "skipped"),
        ("run_finished", "variant_seed1", "skipped"),
    ]
    assert (events[0]["returns_mean"], events[0]["percent"]) == (90.0, 100.0)
    assert (last["experiment_id"], last["status"], last["exit_code"]) == ("pair", "completed", 0)
    assert last["comparison"] == {"verdict": "insufficient_evidence"}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_killed_orchestrator_is_said_with_the_command_that_goes_on(
    experiment: Experiment, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    kill_it(experiment)

    assert watch(experiment, *options) == 0
    output = capsys.readouterr()
    told = output.err if options else output.out
    assert told.startswith("stopped · 0/4 runs done · 0:0")
    assert re.search(r"\nbaseline_seed1 .*25 % .* 20\.00 +stopped\n", told)
    assert told.endswith(
        "stopped; continue with:\n  experiments run --experiment-id pair"
        f" --output-dir {experiment.output_dir} --mode parallel --max-workers 3\n"
    )
    if options:
        assert json.loads(output.out.splitlines()[-1])["status"] == "stopped"


def test_json_streams_what_happens_until_the_end(experiment: Experiment) -> None:
    with FileLock(experiment.paths.lock):
        experiment.begin()
        training = Training(experiment, FIRST).start()
        process = subprocess.Popen(
            command(experiment, "--json"), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        lines = objects_of(process)
        first = next(lines)
        training.row(2048, 20.0)
        second = next(lines)
        training.row(4096, 90.0).end(RunStatus.COMPLETED)
        third = next(lines)
        experiment.stop()
        experiment.save()
    last = next(lines)

    assert [(each["event"], each["step"]) for each in (first, second, third)] == [
        ("run_started", 0),
        ("progress", 2048),
        ("run_finished", 4096),
    ]
    assert (first["run"], first["arm"], first["seed"]) == ("baseline_seed1", "baseline", 1)
    assert (last["status"], last["exit_code"]) == ("completed", 0)
    assert next(lines, None) is None
    assert process.wait(WAIT_SECONDS) == 0


def objects_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            yield json.loads(line)


def test_whoever_stops_reading_ends_the_watching(experiment: Experiment) -> None:
    with FileLock(experiment.paths.lock):
        experiment.begin()
        training = Training(experiment, FIRST).start()
        process = subprocess.Popen(
            command(experiment, "--json"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = objects_of(process)
        next(lines)
        lines.close()  # type: ignore[attr-defined]
        training.row(2048, 20.0)

        assert process.wait(WAIT_SECONDS) == -signal.SIGPIPE
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""


def test_ctrl_c_leaves_the_experiment_alone_and_gives_the_terminal_back(
    experiment: Experiment,
) -> None:
    with FileLock(experiment.paths.lock):
        experiment.begin()
        Training(experiment, FIRST).start().row(1024, 20.0)
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command(experiment),
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
            start_new_session=True,
        )
        os.close(theirs)
        output = read_until(ours, r"baseline_seed1 .*25 %")
        process.send_signal(signal.SIGINT)
        output += read_until(ours, NEVER)

    assert process.wait(WAIT_SECONDS) == -signal.SIGINT  # which a shell shows as 130
    assert "running baseline · 0/4 runs done" in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    os.close(ours)


def read_until(terminal: int, pattern: str) -> str:
    """What a terminal shows until the pattern appears, or until it is closed."""
    output, end = "", time.monotonic() + WAIT_SECONDS
    while not re.search(pattern, output) and time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], WAIT_SECONDS)
        try:
            output += os.read(terminal, 65536).decode() if ready else ""
        except OSError:  # how Linux reports that the other end was closed
            break
    return output
