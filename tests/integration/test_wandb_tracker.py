"""The real SDK of Weights & Biases against a server on loopback; each scenario a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.experiments.tracking.wandb.offline import wandb_sync_command
from tests.waiting import HANG_SECONDS

from ..doubles.wandb_files import read_offline_run
from ..doubles.wandb_server import WandbServer, read_world
from ..doubles.wandb_world import API_KEY, ENTITY
from .wandb_scenarios import METRICS, ROWS, SECRET

ROOT = Path(__file__).parents[2]
BASELINE, VARIANT = "0123456789abcdef", "fedcba9876543210"
CLOSED_PORT = "http://127.0.0.1:9"


@dataclass
class Machine:
    """A place where a tracker's process lives, and nothing else."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "work", "experiment"):
            (self.root / name).mkdir()

    @property
    def directory(self) -> Path:
        return self.root / "experiment"

    def command(self, scenario: str, **settings: Any) -> list[str]:
        module = "tests.integration.wandb_scenarios"
        return [sys.executable, "-m", module, scenario, str(self.directory), json.dumps(settings)]

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            **self.environment,
        }

    def start(self, scenario: str, **settings: Any) -> subprocess.Popen[str]:
        """A process in a group of its own."""
        return subprocess.Popen(
            self.command(scenario, **settings),
            env=self.variables,
            cwd=self.root / "work",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def tell(self, scenario: str, **settings: Any) -> str:
        """Carry a scenario out, which must succeed; what it printed."""
        code, output = self.try_to_tell(scenario, **settings)
        assert code == 0, output
        return output

    def try_to_tell(self, scenario: str, **settings: Any) -> tuple[int, str]:
        """Exit code and output."""
        process = self.start(scenario, **settings)
        try:
            output, _ = process.communicate(timeout=HANG_SECONDS)
        finally:
            end_group(process)
        return process.returncode, output

    def offline_runs(self) -> list[Path]:
        return sorted(self.directory.glob("wandb/offline-run-*"))

    def left(self) -> set[str]:
        """Whatever lies there but what the scenario itself has written, by its path."""
        paths = (path.relative_to(self.root) for path in self.root.rglob("*"))
        return {str(path) for path in paths if len(path.parts) > 1 and path.parts[0] != "files"}


@pytest.fixture
def machine():
    # pytest's own folder has a path too long for the sockets of a person's temporary folder
    with tempfile.TemporaryDirectory(prefix="w") as root:
        yield Machine(Path(root))


@pytest.fixture
def server(machine):
    with WandbServer() as server:
        machine.environment |= {"WANDB_API_KEY": API_KEY, "WANDB_BASE_URL": server.url}
        yield server
    assert server.world.surprises == []


def end_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(HANG_SECONDS)
    if process.stdout is not None:
        process.stdout.close()


def sync(machine: Machine) -> str:
    """What the printed command line says, carried out as a person would."""
    done = subprocess.run(
        ["sh", "-c", wandb_sync_command(machine.directory)],
        env={
            **machine.variables,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "WANDB_ERROR_REPORTING": "false",
        },
        cwd=machine.root / "work",
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    )
    return done.stdout + done.stderr


# ---- offline


def test_a_pair_is_written_offline_without_a_login_and_reads_as_it_was_told(machine):
    printed = machine.tell("pair", connection="offline")

    runs = {run.id: run for run in map(read_offline_run, machine.offline_runs())}
    assert runs.keys() == {BASELINE, VARIANT}
    baseline = runs[BASELINE]
    assert (baseline.project, baseline.group) == ("cartpole", "learning_rate")
    assert (baseline.job_type, baseline.name) == ("baseline", "learning_rate baseline_seed42")
    assert baseline.tags == ("CartPole-v1", "PPO", "baseline", "seed42")
    assert baseline.notes.splitlines()[::2] == [
        "A higher learning rate learns faster.",
        "first try",
        "The variant is better.",
    ]
    assert baseline.config["hyperparameters/learning_rate"] == 3e-4
    assert baseline.config["experiment/partner"] == "variant_seed42"
    assert [row.get(METRICS[7]) for row in baseline.history[:ROWS]] == [
        row + 0.5 for row in range(ROWS)
    ]
    assert [row["global_step"] for row in baseline.history[:ROWS]] == [
        100 * (row + 1) for row in range(ROWS)
    ]
    strange = baseline.history[ROWS]
    assert isnan(strange["training_step/loss"])
    assert strange["training_step/kl"] == -inf
    assert baseline.history[-1]["figures/learning_curves"]["_type"] == "image-file"
    assert baseline.history[-1]["tables/evaluations"]["nrows"] == 2
    assert baseline.summary["final/total_steps"] == 800
    assert (baseline.summary["status"], baseline.exit_code) == ("completed", 0)
    assert json.loads(printed) == [str(path) for path in machine.offline_runs()]


def test_the_buffer_of_a_pair_is_small_and_all_that_is_left(machine):
    machine.tell("pair", connection="offline", keeps_files=False)

    runs = machine.offline_runs()
    assert {run.exit_code for run in map(read_offline_run, runs)} == {0}
    assert {name for name in machine.left() if "/offline-run-" not in name} == {"experiment/wandb"}
    content = [path for run in runs for path in run.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in content) < 60_000
    assert {path.suffix for path in content} <= {".wandb", ".json", ".txt", ".patch", ""}
    assert not any("model" in path.name or path.suffix == ".png" for path in content)


@pytest.mark.slow
def test_an_offline_run_that_a_kill_left_is_begun_anew_and_what_others_have_there_stays(machine):
    others = machine.directory / "wandb" / "offline-run-20250101_000000-aaaaaaaaaaaaaaaa"
    others.mkdir(parents=True)
    (others / "run-aaaaaaaaaaaaaaaa.wandb").touch()
    killed = machine.start("endless", connection="offline", keeps_files=False)
    lines(killed, 3)
    end_group(killed)
    (left,) = set(machine.offline_runs()) - {others}
    (left / "left-by-the-killed-one").touch()
    machine.tell("one", connection="offline", keeps_files=False)

    (run,) = set(machine.offline_runs()) - {others}
    assert not (run / "left-by-the-killed-one").exists()
    told = read_offline_run(run)
    assert [row["global_step"] for row in told.history[:ROWS]] == [
        100 * (row + 1) for row in range(ROWS)
    ]
    assert told.exit_code == 0
    assert (others / "run-aaaaaaaaaaaaaaaa.wandb").exists()


@pytest.mark.slow
def test_offline_runs_synced_twice_are_one_run_each(machine, server):
    machine.tell("pair", connection="offline")
    sync(machine)
    again = sync(machine)

    assert "No runs to sync" in again
    assert server.world.runs.keys() == {BASELINE, VARIANT}
    baseline = server.world.runs[BASELINE]
    assert (baseline.state, baseline.exit_code) == ("finished", 0)
    assert (baseline.group, baseline.job_type) == ("learning_rate", "baseline")
    assert baseline.series(METRICS[0]) == [(100 * (row + 1), row + 0.5) for row in range(ROWS)]
    assert baseline.x_axes == {"*": "global_step"}
    (results,) = server.world.artifacts_of(BASELINE, "results")
    assert results.files["experiment_results.json"] == b'{"verdict": 1}'
    assert {each.state for each in server.world.artifacts.values()} == {"COMMITTED"}
    assert server.world.artifacts_of(BASELINE, "model") == []


@pytest.mark.slow
def test_a_run_told_anew_after_its_upload_replaces_the_former(machine, server):
    machine.tell("one", connection="offline", keeps_files=False)
    sync(machine)
    machine.tell("one", connection="offline", keeps_files=False)
    sync(machine)

    (run,) = server.world.runs.values()
    assert run.series(METRICS[0]) == [(100 * (row + 1), row + 0.5) for row in range(ROWS)]


# ---- online


@pytest.mark.slow
def test_a_pair_told_live_is_on_the_server_with_all_that_belongs_to_it(machine, server):
    machine.environment["WANDB_ENTITY"] = ENTITY
    printed = machine.tell("pair")

    assert json.loads(printed) == [
        f"{server.url}/{ENTITY}/cartpole/runs/{each}" for each in (BASELINE, VARIANT)
    ]
    runs = server.world.runs
    assert {run.group for run in runs.values()} == {"learning_rate"}
    assert [runs[each].job_type for each in (BASELINE, VARIANT)] == ["baseline", "variant"]
    assert {(run.state, run.exit_code) for run in runs.values()} == {("finished", 0)}
    for run in runs.values():
        assert run.series(METRICS[3]) == [(100 * (row + 1), row + 0.5) for row in range(ROWS)]
    baseline = runs[BASELINE]
    assert baseline.project == "cartpole"
    assert baseline.name == "learning_rate baseline_seed42"
    assert baseline.tags == ("CartPole-v1", "PPO", "baseline", "seed42")
    assert baseline.notes.endswith("first try\n\nThe variant is better.")
    assert baseline.config["experiment/difference"] == {
        "hyperparameters/learning_rate": {"baseline": 3e-4, "variant": 1e-3}
    }
    assert baseline.config["experiment/command"] == "python -m runner --config exp.json"
    assert (baseline.commit, baseline.program) == ("a" * 40, "-m runner")
    assert baseline.x_axes == {"*": "global_step"}
    assert baseline.series("eval/return_mean") == [(900, 21)]
    assert baseline.series("system/cpu_percent") == [(900, 50)]
    ((_, page),) = baseline.series("examples/completion")
    assert baseline.files[page["path"]] == b"<pre>&lt;b&gt;</pre>"
    assert "killed by signal 9" in baseline.log
    assert baseline.files["requirements.txt"] == b"numpy==2.0\n"
    assert baseline.summary["verdict"] == "The variant is better."
    assert baseline.summary["final/total_steps"] == 800
    shown = baseline.history[-1]
    assert {"figures/learning_curves", "tables/evaluations", "report"} <= shown.keys()
    assert baseline.files[shown["figures/learning_curves"]["path"]].startswith(b"\x89PNG")


@pytest.mark.slow
def test_values_that_are_not_finite_are_seen_as_such(machine, server):
    machine.tell("pair", keeps_files=False)

    baseline = server.world.runs[BASELINE]
    ((_, loss),) = baseline.series("training_step/loss")
    assert isnan(loss)
    assert baseline.series("training_step/kl") == [(900, -inf)]
    assert isnan(baseline.summary["training_step/loss"])


@pytest.mark.slow
def test_files_and_the_model_are_artifacts(machine, server):
    machine.tell("one")

    (results,) = server.world.artifacts_of(BASELINE, "results")
    (model,) = server.world.artifacts_of(BASELINE, "model")
    assert (results.name, results.state) == ("learning_rate-baseline_seed42-results", "COMMITTED")
    assert results.files == {
        "experiment_results.json": b'{"verdict": 1}',
        "report.html": b"<h1>report</h1>",
    }
    assert model.files == {"model.zip": b"the policy"}


@pytest.mark.slow
def test_nothing_is_left_of_an_upload_where_only_the_tracker_keeps_files(machine, server):
    machine.tell("one", keeps_files=False)

    assert server.world.runs[BASELINE].state == "finished"
    assert machine.left() == set()


@pytest.mark.slow
def test_a_run_goes_on_under_its_remote_id_in_another_process(machine, server):
    machine.tell("halves", keeps_files=False)
    halfway = server.world.runs[BASELINE]
    assert (halfway.state, len(halfway.history)) == ("preempted", ROWS // 2)
    machine.tell("halves", keeps_files=False)

    (run,) = server.world.runs.values()
    assert run.series(METRICS[0]) == [(100 * (row + 1), row + 0.5) for row in range(ROWS)]
    assert (run.state, run.exit_code) == ("finished", 0)


@pytest.mark.slow
def test_a_later_conclusion_is_added_and_an_equal_one_changes_nothing(machine, server):
    machine.tell("later")

    (run,) = server.world.runs.values()
    assert run.series(METRICS[0]) == [(100 * (row + 1), row + 0.5) for row in range(ROWS)]
    assert len(run.history) == ROWS + 2
    assert run.summary["verdict"] == "The variant is better."
    assert run.notes.endswith("The variant is better.")
    assert len(server.world.artifacts_of(BASELINE, "results")) == 1


@pytest.mark.slow
def test_how_a_run_ended_is_its_state(machine, server):
    machine.tell("failed")

    baseline, variant = (server.world.runs[each] for each in (BASELINE, VARIANT))
    assert (baseline.state, baseline.summary["error"]) == ("failed", "NaN at step 3")
    assert (variant.state, variant.summary["status"]) == ("preempted", "interrupted")


@pytest.mark.slow
def test_variables_of_a_sweep_or_of_another_run_change_nothing(machine, server):
    machine.environment |= {
        "WANDB_SWEEP_ID": "sweep",
        "WANDB_RUN_ID": "other",
        "WANDB_PROJECT": "other",
        "WANDB_MODE": "disabled",
        "WANDB_NAME": "other",
        "WANDB_SERVICE": "2-1-tcp-localhost-1",
    }
    machine.tell("one")

    (run,) = server.world.runs.values()
    assert (run.id, run.project, run.name) == (
        BASELINE,
        "cartpole",
        "learning_rate baseline_seed42",
    )


@pytest.mark.slow
def test_what_wandb_login_has_left_is_used(machine, server):
    del machine.environment["WANDB_API_KEY"]
    del machine.environment["WANDB_BASE_URL"]
    place = server.url.removeprefix("http://")
    netrc = machine.root / "home" / ".netrc"
    netrc.write_text(f"machine {place}\n  login user\n  password {API_KEY}\n")
    netrc.chmod(0o600)
    settings = machine.root / "home" / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[default]\nbase_url = {server.url}\n")
    machine.tell("one")

    assert server.world.runs[BASELINE].state == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("connection", ["online", "offline"])
def test_a_secret_is_nowhere(machine, server, connection):
    machine.tell("secret", connection=connection)
    if connection == "offline":
        sync(machine)

    assert len(server.world.runs[BASELINE].history) > ROWS
    assert not any(request.holds(SECRET) for request in server.world.requests)
    assert not any(request.holds(API_KEY) for request in server.world.requests)
    for name in machine.left():
        path = machine.root / name
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content, name
        assert API_KEY.encode() not in content, name


# ---- when something is wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"WANDB_API_KEY": API_KEY, "WANDB_BASE_URL": CLOSED_PORT},
            r"no answer: .*connection refused; check the network and WANDB_BASE_URL",
        ),
        (
            {"WANDB_API_KEY": "f" * 40},
            r"refused: permission denied.*; check WANDB_API_KEY, or log in again",
        ),
        (
            {"WANDB_API_KEY": "short"},
            r"API key must have 40\+ characters",
        ),
        (
            {},
            r"no API key for http://127\.0\.0\.1.*`wandb login`.*WANDB_API_KEY.*--wandb-offline",
        ),
    ],
    ids=["closed port", "unknown key", "malformed key", "no key"],
)
def test_without_a_way_in_there_is_one_clear_error(machine, server, variables, said):
    machine.environment = {"WANDB_BASE_URL": server.url, **variables}
    code, output = machine.try_to_tell("one", keeps_files=False)

    assert code == 5
    assert re.search(said, output)
    assert len(output.splitlines()) == 1
    assert machine.left() == set()
    assert server.world.runs == {}


@contextmanager
def server_process(machine: Machine, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that can be stopped and killed, and its address; what it knows outlives it."""
    state = machine.root / "files" / "server"
    state.parent.mkdir(exist_ok=True)
    module = "tests.doubles.wandb_server"
    command = [sys.executable, "-m", module, "--port", str(port), "--state", str(state)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        url = lines(process, 1)[0].strip()
        machine.environment |= {"WANDB_API_KEY": API_KEY, "WANDB_BASE_URL": url}
        yield process, url
    finally:
        end_group(process)


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines of a process's output."""
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def last_number(output: str) -> int:
    return int([line for line in output.splitlines() if line.isdigit()][-1])


@pytest.mark.slow
@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_goes_in_mid_run_is_noticed_and_nothing_confirmed_is_lost(machine, fate):
    with server_process(machine) as (server, url):
        tracker = machine.start("endless", keeps_files=False)
        try:
            lines(tracker, 3)
            server.send_signal(fate)
            output, _ = tracker.communicate(timeout=HANG_SECONDS)
        finally:
            end_group(tracker)
    assert tracker.returncode == 5
    assert "TrackerError: Weights & Biases" in output
    assert machine.left() == set()

    with server_process(machine, int(url.rpartition(":")[2])):
        confirmed = last_number("2\n" + output)
        steps = [row["global_step"] for row in read_world(url).runs[BASELINE].history]
    assert steps[: confirmed + 1] == [100 * (row + 1) for row in range(confirmed + 1)]


@pytest.mark.slow
def test_a_killed_tracker_leaves_no_process_and_has_lost_nothing_it_confirmed(machine, server):
    tracker = machine.start("endless", keeps_files=False)
    try:
        confirmed = last_number("".join(lines(tracker, 3)))
        services = psutil.Process(tracker.pid).children(recursive=True)
        assert [each.name() for each in services] == ["wandb-core"]
    finally:
        end_group(tracker)
    _, alive = psutil.wait_procs(services, timeout=HANG_SECONDS)

    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    steps = [row["global_step"] for row in server.world.runs[BASELINE].history]
    assert steps[: confirmed + 1] == [100 * (row + 1) for row in range(confirmed + 1)]
    assert any((machine.root / "tmp").iterdir())
    machine.tell("halves", keeps_files=False)
    assert machine.left() == set()


@pytest.mark.slow
def test_a_terminated_tracker_goes_at_once(machine, server):
    tracker = machine.start("endless", keeps_files=False)
    try:
        lines(tracker, 1)
        services = psutil.Process(tracker.pid).children(recursive=True)
        tracker.terminate()
        tracker.communicate(timeout=HANG_SECONDS)
        _, alive = psutil.wait_procs(services, timeout=HANG_SECONDS)
    finally:
        end_group(tracker)

    assert tracker.returncode == -signal.SIGTERM
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_refuses_the_rows_is_an_error_of_the_tracker(machine, server, status):
    server.misbehave(status=status, path="file_stream")
    code, output = machine.try_to_tell("one", keeps_files=False)

    assert code == 5
    assert re.search(rf"the server has 0 of {ROWS} rows", output)
    assert machine.left() == set()
