"""The command line as a user meets it: real processes, real training, a real terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.experiments.config import load_experiment_file
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "src.experiments"]
RUNNER = [sys.executable, "-m", "src.experiments.runner"]

pytestmark = pytest.mark.integration

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    content = {
        "experiment_id": "tiny_pair",
        "hypothesis": "A larger step learns faster \x1b[31m[red]",
        "baseline_config": {
            "algorithm": "A2C",
            "environment": "CartPole-v1",
            "training_steps": 500,
            "seed": 7,
        },
        "variant_config": {"extends": "baseline", "hyperparameters": {"learning_rate": 0.001}},
        "evaluation": {"frequency": 250, "episodes": 2, "final_episodes": 3},
    }
    path = tmp_path / "exp.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(program: list[str], *arguments: object, **settings: Any) -> Any:
        words = [*program, *map(str, arguments), "--output-dir", str(tmp_path / "out")]
        return subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS, **settings
        )

    return call


def test_an_experiment_is_run_listed_shown_and_not_run_twice(
    file: Path, run: Run, tmp_path: Path
) -> None:
    done = run(RUNNER, "--config", file, "--comment", "first", "--tag", "tiny")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "A larger step learns faster \\x1b[31m[red]" in lines
    assert "baseline_seed7: started, 500 steps" in lines
    assert any(line.startswith("variant_seed7: completed after ") for line in lines)
    assert "insufficient evidence" in lines
    assert f"results  {tmp_path / 'out' / 'tiny_pair'}" in lines
    saved = json.loads((tmp_path / "out/tiny_pair/experiment_tiny_pair.json").read_text())
    assert (saved["config"]["comment"], saved["config"]["tags"]) == ("first", ["tiny"])

    again = run(PROGRAM, "run", file)
    assert again.returncode == 2
    assert "--experiment-id tiny_pair" in again.stderr
    assert "--resume" in again.stderr
    changed = run(PROGRAM, "run", file, "baseline_config.seed=8", "--resume")
    assert changed.returncode == 2
    assert "/baseline_config/seed from 7 to 8" in changed.stderr
    resumed = run(RUNNER, "--config", file, "--resume", "--comment", "first", "--tag", "tiny")
    assert resumed.returncode == 0, resumed.stderr
    assert "started" not in resumed.stdout
    assert " 2/2 " in run(PROGRAM, "list").stdout
    shown = json.loads(run(PROGRAM, "show", "tiny_pair", "--json").stdout)
    assert [run["status"] for run in shown["runs"]] == ["completed", "completed"]


@pytest.mark.slow
def test_json_leaves_nothing_but_json_on_standard_output(file: Path, run: Run) -> None:
    done = run(PROGRAM, "run", file, "--json")

    objects = [json.loads(line) for line in done.stdout.splitlines()]
    events = [(each.get("event"), each.get("run")) for each in objects]
    assert events[0] == ("experiment_started", None)
    for name in ("baseline_seed7", "variant_seed7"):
        assert ("run_started", name) in events
        assert ("run_finished", name) in events
    last = objects[-1]
    assert (last["experiment_id"], last["status"]) == ("tiny_pair", "completed")
    assert last["comparison"]["verdict"] == "insufficient_evidence"
    assert list(last["arms"]) == ["baseline", "variant"]
    assert (last["exit_code"], done.returncode) == (0, 0)
    assert "A larger step" in done.stderr


def test_validate_estimates_and_leaves_nothing(file: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "validate", str(file), "--max-workers", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"variant_seed7 +500 +[\d.,k]+ +\d:\d\d +[\d.,]+ [MG]iB", done.stdout)
    assert "parallel with 2 workers: 0:" in done.stdout
    left = {path.name for path in tmp_path.iterdir()}
    assert {name for name in left if not name.startswith("torchinductor")} == {"exp.json"}


def test_a_locked_experiment_is_left_alone(file: Path, run: Run, tmp_path: Path) -> None:
    experiment = Experiment.from_config(load_experiment_file(file), tmp_path / "out")
    experiment.save()

    with FileLock(experiment.paths.lock):
        done = run(RUNNER, "--experiment-id", "tiny_pair")

    assert done.returncode == 3
    assert done.stderr.startswith("error: the experiment is locked by another process")
    assert "Traceback" not in done.stderr


class Terminal:
    """A program on a pseudo-terminal of 80 columns."""

    def __init__(self, arguments: list[str]) -> None:
        self._file, inside = pty.openpty()
        environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment,
            start_new_session=True,
        )
        os.close(inside)
        self.output = ""

    def read_until(self, pattern: str, timeout_seconds: float = HANG_SECONDS) -> None:
        end = time.monotonic() + timeout_seconds
        while not re.search(pattern, self.output):
            assert time.monotonic() < end, self.output
            if not self._read():
                pytest.fail(self.output)

    def read_to_the_end(self) -> int:
        while self._read():
            pass
        os.close(self._file)
        return self.process.wait(HANG_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._file], [], [], HANG_SECONDS)
        try:
            data = os.read(self._file, 65536) if ready else b""
        except OSError:  # how Linux reports that the other end was closed
            data = b""
        self.output += data.decode(errors="replace")
        return bool(data)


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_stops_in_good_order_and_the_experiment_can_go_on(
    file: Path, run: Run, tmp_path: Path
) -> None:
    steps = ["--set", "baseline_config.training_steps=20000"]
    out = ["--output-dir", str(tmp_path / "out")]
    terminal = Terminal([*RUNNER, "--config", str(file), *steps, *out])
    terminal.read_until(r"variant_seed7[^\n]*queued")
    terminal.read_until(r"baseline_seed7[^\n]*[1-9]\d? %")
    terminal.process.send_signal(signal.SIGINT)

    code = terminal.read_to_the_end()

    assert code == -signal.SIGINT, terminal.output
    assert "CPU" in terminal.output
    assert "stopping; a second Ctrl-C stops at once; continue with:" in terminal.output
    assert "--experiment-id tiny_pair" in terminal.output
    assert terminal.output.rindex("\x1b[?25h") > terminal.output.rindex("\x1b[?25l")
    saved = json.loads((tmp_path / "out/tiny_pair/experiment_tiny_pair.json").read_text())
    assert saved["status"] == "paused"
