"""``experiments watch`` in a process of its own: streams, pipes that break, terminals."""

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
from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.records import RunStatus
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment
from tests.unit.written_experiments import FIRST, Training, new_experiment
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
NEVER = r"(?!)"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    experiment = new_experiment(tmp_path)
    experiment.publish()
    return experiment


def command(experiment: Experiment, *options: str) -> list[str]:
    words = [sys.executable, "-m", "src.experiments", "watch", "pair"]
    return [*words, "--output-dir", str(experiment.output_dir), *options]


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
        # whoever looks between the row and the end is told of both
        third = next(each for each in lines if (each["event"], each["step"]) != ("progress", 4096))
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
    assert process.wait(HANG_SECONDS) == 0


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

        assert process.wait(HANG_SECONDS) == -signal.SIGPIPE
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

    assert process.wait(HANG_SECONDS) == -signal.SIGINT  # which a shell shows as 130
    assert "running baseline · 0/4 runs done" in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    os.close(ours)


def read_until(terminal: int, pattern: str) -> str:
    """What a terminal shows until the pattern appears, or until it is closed."""
    output, end = "", time.monotonic() + HANG_SECONDS
    while not re.search(pattern, output) and time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], HANG_SECONDS)
        try:
            output += os.read(terminal, 65536).decode() if ready else ""
        except OSError:  # how Linux reports that the other end was closed
            break
    return output
