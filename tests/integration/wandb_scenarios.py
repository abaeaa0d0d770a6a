"""What a tracker's process does, as a program: ``python -m tests.integration.wandb_scenarios``.

The SDK keeps state in its process, so that every scenario runs in one of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.tracking.tracker import (
    CodeState,
    Connection,
    RunConclusion,
    RunDescription,
    Table,
    TrackerError,
    TrackerSettings,
)
from src.experiments.tracking.wandb.tracker import WandbTracker

SECRET = "s3cr3t-canary-of-the-tests"
ROWS = 8
METRICS = tuple(f"rollouts/metric_{index}" for index in range(30))
PARTNERS = {"baseline": "variant", "variant": "baseline"}


def description(arm: str = "baseline", **changes: Any) -> RunDescription:
    fields: dict[str, Any] = {
        "experiment_id": "learning_rate",
        "run": RunKey(arm, 42),
        "name": f"learning_rate {arm}_seed42",
        "project": "cartpole",
        "uid": {"baseline": "0123456789abcdef", "variant": "fedcba9876543210"}[arm],
        "parameters": {"algorithm": "PPO", "hyperparameters/learning_rate": 3e-4},
        "differences": {"hyperparameters/learning_rate": (3e-4, 1e-3)},
        "tags": ("CartPole-v1", "PPO", arm, "seed42"),
        "hypothesis": "A higher learning rate learns faster.",
        "comment": "first try",
        "code": CodeState("a" * 40, "main", "https://example.org/code.git", "+1 line", "-m runner"),
        "packages": "numpy==2.0\n",
        "host": "workstation",
        "command": "python -m runner --config exp.json",
        "partner": RunKey(PARTNERS[arm], 42),
    }
    return RunDescription(**{**fields, **changes})


def records(first: int = 0, last: int = ROWS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in range(first, last):
        step = 100 * (row + 1)
        metrics = dict.fromkeys(METRICS, row + 0.5)
        found.append({"kind": "metrics", "step": step, "metrics": metrics, "time": 1.7e9 + row})
    return found


def conclusion(directory: Path, **changes: Any) -> RunConclusion:
    fields: dict[str, Any] = {
        "status": RunStatus.COMPLETED,
        "single_values": {"final/total_steps": 800.0, "training_time": 1.5},
        "tables": {"evaluations": Table(("step", "eval/return_mean"), ((400, 9.5), (800, None)))},
        "figures": {"learning_curves": _png(directory / "learning_curves.png")},
        "artifacts": {
            "experiment_results": _file(directory / "results.json", '{"verdict": 1}'),
            "report": _file(directory / "index.html", "<h1>report</h1>"),
        },
        "model": _file(directory / "model.zip", "the policy"),
        "verdict": "The variant is better.",
    }
    return RunConclusion(**{**fields, **changes})


def pair(tracker: WandbTracker, directory: Path) -> None:
    """Both arms, told in turns."""
    arms = ("baseline", "variant")
    ids = {arm: tracker.open_run(description(arm), None) for arm in arms}
    for row in range(0, ROWS, 4):
        for arm in arms:
            tracker.write_records(ids[arm], records(row, row + 4))
    tracker.write_records(ids["baseline"], _others())
    for arm in arms:
        tracker.finish_run(ids[arm], conclusion(directory))
    print(json.dumps([tracker.url_of(each) for each in ids.values()]))


def one(tracker: WandbTracker, directory: Path) -> None:
    """A run from its first to its last record."""
    run = tracker.open_run(description(), None)
    tracker.write_records(run, records())
    tracker.finish_run(run, conclusion(directory))


def halves(tracker: WandbTracker, directory: Path) -> None:
    """The first half, and what becomes of an interruption; called again, the second half."""
    run = tracker.open_run(description(), None)
    told = directory / "told"
    if not told.exists():
        tracker.write_records(run, records(last=ROWS // 2))
        told.touch()
    else:
        tracker.write_records(run, records(first=ROWS // 2))
        tracker.finish_run(run, conclusion(directory))


def later(tracker: WandbTracker, directory: Path) -> None:
    """The same conclusion twice, then one with a verdict."""
    run = tracker.open_run(description(), None)
    tracker.write_records(run, records())
    early = conclusion(directory, verdict="")
    tracker.finish_run(run, early)
    tracker.finish_run(run, early)
    tracker.finish_run(run, conclusion(directory))


def failed(tracker: WandbTracker, directory: Path) -> None:
    """A run that failed, and one that was interrupted."""
    ends = {
        "baseline": conclusion(directory, status=RunStatus.FAILED, error="NaN at step 3"),
        "variant": conclusion(directory, status=RunStatus.INTERRUPTED),
    }
    for arm, end in ends.items():
        run = tracker.open_run(description(arm), None)
        tracker.write_records(run, records())
        tracker.finish_run(run, end)


def endless(tracker: WandbTracker, directory: Path) -> None:
    """Rows without end, so that something can happen meanwhile."""
    run = tracker.open_run(description(), None)
    for row in range(10_000):
        tracker.write_records(run, records(row, row + 1))
        print(row, flush=True)
        time.sleep(0.05)


def secret(tracker: WandbTracker, directory: Path) -> None:
    """A secret in every text that there is."""
    told = description(
        comment=f"key {SECRET}",
        hypothesis=f"with {SECRET}",
        name=f"name {SECRET}",
        tags=(f"tag {SECRET}",),
        parameters={"url": f"https://user:{SECRET}@host/", "api_key": "another one"},
        code=CodeState(diff=f"+password = {SECRET}"),
        command=f"runner --key {SECRET}",
        packages=f"package @ https://{SECRET}@host/",
    )
    run = tracker.open_run(told, None)
    text = {"kind": "text", "step": 1, "name": "examples/completion", "text": SECRET, "time": 1.0}
    ended = {"kind": "attempt_ended", "step": 1, "attempt": 1, "outcome": "crashed", "time": 1.0}
    tracker.write_records(run, [*records(), text, {**ended, "cause": SECRET}])
    end = conclusion(
        directory,
        verdict=f"said {SECRET}",
        error=f"failed at {SECRET}",
        artifacts={"report": _file(directory / "index.html", f"<b>{SECRET}</b>")},
    )
    tracker.finish_run(run, end)


def _others() -> list[dict[str, Any]]:
    """Records of the other kinds, and values that are no finite numbers."""
    strange = {"training_step/loss": float("nan"), "training_step/kl": float("-inf")}
    ended = {"attempt": 1, "outcome": "crashed", "cause": "killed by signal 9"}
    return [
        {"kind": "metrics", "step": 900, "metrics": strange, "time": 1.7e9},
        {"kind": "evaluation", "step": 900, "metrics": {"eval/return_mean": 21.0}, "time": 1.7e9},
        {"kind": "text", "step": 900, "name": "examples/completion", "text": "<b>", "time": 1.7e9},
        {"kind": "resources", "step": 900, "cpu_percent": 50.0, "memory_mb": 300.0, "time": 1.7e9},
        {"kind": "attempt_ended", "step": 900, **ended, "time": 1.7e9},
    ]


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _png(path: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (40, 30)).save(path)
    return path


SCENARIOS: dict[str, Callable[[WandbTracker, Path], None]] = {
    each.__name__: each for each in (pair, one, halves, later, failed, endless, secret)
}


def main() -> int:
    """Arguments: the scenario, the experiment's directory, settings as JSON."""
    scenario, directory, said = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    environment = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    settings = TrackerSettings(
        directory=directory,
        environment=environment,
        connection=Connection(said.get("connection", "online")),
        keeps_files=said.get("keeps_files", True),
        secrets=frozenset({SECRET}),
    )
    tracker = WandbTracker(settings)
    files = directory.parent / "files"
    files.mkdir(exist_ok=True)
    try:
        SCENARIOS[scenario](tracker, files)
        tracker.close()
    except TrackerError as error:
        print(f"TrackerError: {error}")
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main())
