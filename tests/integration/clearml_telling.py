"""Tellings of ClearML, each in an interpreter of its own: the SDK is set up once a process."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from src.experiments.domain.records import RunKey, RunStatus
from src.experiments.tracking.clearml.tracker import ClearmlTracker
from src.experiments.tracking.tracker import (
    CodeState,
    RunConclusion,
    RunDescription,
    Table,
    TrackerError,
    TrackerSettings,
)
from tests.waiting import HANG_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
CANARY = "planted-Secret+value/42"
NAN, INFINITY = float("nan"), float("inf")
BASELINE, VARIANT = RunKey("baseline", 7), RunKey("variant", 7)
UIDS = {BASELINE: "00112233445566aa", VARIANT: "00112233445566bb"}
RECORDS = [
    {"kind": "attempt_started", "step": 0, "attempt": 1, "time": 1_700_000_000.0},
    {
        "kind": "metrics",
        "step": 128,
        "metrics": {"rollouts/returns_mean": 20.5, "train/loss": 0.5, "plain": 1},
        "time": 1_700_000_001.5,
    },
    {
        "kind": "metrics",
        "step": 256,
        "metrics": {"rollouts/returns_mean": 21.0, "train/loss": NAN},
        "time": 1_700_000_002.0,
    },
    {
        "kind": "metrics",
        "step": 384,
        "metrics": {"rollouts/returns_mean": INFINITY, "train/loss": NAN},
        "time": 1_700_000_003.0,
    },
    {
        "kind": "text",
        "step": 384,
        "name": "examples/completion",
        "text": f"the pole fell; {CANARY}",
        "time": 1_700_000_004.0,
    },
]
LATER_RECORDS = [
    {"kind": "metrics", "step": 512, "metrics": {"rollouts/returns_mean": 30.0}, "time": 1.7e9},
    {"kind": "metrics", "step": 640, "metrics": {"train/loss": NAN}, "time": 1.7e9},
]
VERDICT = "The variant is better by 12 (95 % interval 3 to 21)."


def describe(run, **changes):
    """What a run of the pair is described as."""
    description = RunDescription(
        experiment_id="cartpole_rates",
        run=run,
        name=f"cartpole_rates {run.name}",
        project="cartpole/rates",
        uid=UIDS[run],
        parameters={
            "algorithm": "PPO",
            "environment_kwargs/gravity": 9.8,
            "hyperparameters/learning_rate": 3e-4,
            "hyperparameters/policy_kwargs/net_arch": [64, 64],
            "normalize": None,
            "seed": 7,
        },
        differences={"hyperparameters/learning_rate": (3e-4, 1e-3)},
        tags=("CartPole-v1", "PPO", run.arm, "seed7", "here"),
        comment="a first try",
        hypothesis="a larger step learns faster",
        code=CodeState(
            commit="0123abcd",
            branch="main",
            repository="https://git.example/rl.git",
            diff="diff --git a/x b/x\n+better\n",
            entry_point="-m src.experiments.runner",
        ),
        packages="numpy==2.4.6\ntorch==2.9.0",
        host="here",
        command="python -m src.experiments.runner --config exp.json",
        partner=VARIANT if run == BASELINE else BASELINE,
    )
    return replace(description, **changes)


def conclude(folder, **changes):
    """The end of a run that was completed, with files of every kind."""
    figure, results, model = (folder / name for name in ("curves.png", "results.json", "model.zip"))
    figure.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\r\n\r\n")
    results.write_text(json.dumps({"verdict": "better", "told": CANARY}))
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("policy.pth", bytes(range(256)) * 40)
    conclusion = RunConclusion(
        status=RunStatus.COMPLETED,
        single_values={"final_return": 200.0, "auc": NAN},
        tables={"evaluations": Table(("step", "return"), ((128, 20.0), (256, NAN), (384, None)))},
        figures={"learning_curves": figure},
        artifacts={"experiment_results": results},
        model=model,
        verdict=VERDICT,
    )
    return replace(conclusion, **changes)


@dataclass(frozen=True)
class Ran:
    """What became of a telling."""

    result: object
    output: str
    """Standard output and standard error."""


CHILD = """
import pickle, sys
telling, arguments, place = pickle.load(sys.stdin.buffer)
result = telling(*arguments)
with open(place, "wb") as file:
    pickle.dump(result, file)
"""


def begin(telling, *arguments, folder):
    """Start a telling in an interpreter that knows nothing of this one's ClearML."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={**kept, "HOME": str(home), "TMPDIR": str(folder)},
    )
    process.stdin.write(pickle.dumps((telling, arguments, str(folder / "result"))))
    process.stdin.close()
    process.stdin = None
    return process


def await_end(process, folder):
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, output.decode()
    return Ran(pickle.loads((folder / "result").read_bytes()), output.decode())


def tell(telling, *arguments, folder):
    return await_end(begin(telling, *arguments, folder=folder), folder)


def open_tracker(environment, folder, **settings):
    return ClearmlTracker(
        TrackerSettings(folder, environment=environment, secrets=frozenset({CANARY}), **settings)
    )


def refusal_of(call, *arguments):
    """The message that a call fails with."""
    try:
        call(*arguments)
    except TrackerError as error:
        return str(error)
    raise AssertionError("it was not refused")


def open_in_vain(environment, folder):
    """What opening a run is refused with, and what stays on the disk."""
    tracker = open_tracker(environment, folder)
    told = refusal_of(tracker.open_run, describe(BASELINE), None)
    tracker.close()
    return told, sorted(path.name for path in folder.glob("exp-clearml-*"))


def wait_for(path):
    wait_until(path.exists, f"{path.name} comes")
