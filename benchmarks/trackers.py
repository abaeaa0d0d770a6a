"""What trackers cost: one pair told to ClearML, W&B and TensorBoard at once, and told to nobody.

    python benchmarks/trackers.py --rounds 5

Both servers are the tests' doubles on loopback; what they take of the processor counts against the
trackers. The ratio is of the seconds in training, as `results.json` has them, side by side in
alternating rounds; parameters must be the same. The command's own time is beside it: trackers are
told to the end after the last run has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measuring import ROOT, machine, spread, tell

sys.path.insert(0, str(ROOT))
from tests.doubles.remotes import ClearmlRemote, Remote, WandbRemote

MOST = 1.02
STEPS = 122_880
TRACKERS = ("clearml", "wandb", "tensorboard")


@dataclass(frozen=True)
class Ran:
    """One pair."""

    training_seconds: float
    wall_seconds: float
    parameters: tuple[str, ...]


def train(folder: Path, steps: int, mode: str, environment: Mapping[str, str]) -> Ran:
    """Train the pair; an environment that reaches servers is told to them."""
    experiment = {
        "experiment_id": "pair",
        "baseline_config": {
            "algorithm": "PPO",
            "environment": "CartPole-v1",
            "training_steps": steps,
            "seed": 42,
        },
        "variant_config": {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}},
        "trackers": list(TRACKERS) if environment else [],
    }
    (folder / "exp.json").write_text(json.dumps(experiment))
    command = [sys.executable, "-m", "src.experiments.runner", "--config", str(folder / "exp.json")]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--output-dir", str(folder), "--mode", mode],
        cwd=ROOT,
        env={**os.environ, "USE_CLEARML": "", "WANDB_MODE": "", **environment},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall = time.perf_counter() - started
    runs = json.loads((folder / "pair" / "results.json").read_text())["runs"]
    return Ran(
        sum(run["training_time"] for run in runs),
        wall,
        tuple(run["parameters_sha256"] for run in runs),
    )


def one_round(number: int, steps: int, mode: str) -> tuple[Ran, Ran]:
    """The pair told to all, and to nobody."""
    done: dict[bool, Ran] = {}
    for is_told in (True, False) if number % 2 else (False, True):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as servers:
            environment: dict[str, str] = {}
            for server in _servers(Path(folder)) if is_told else ():
                environment |= servers.enter_context(server).environment
            done[is_told] = train(Path(folder), steps, mode, environment)
    return done[True], done[False]


def _servers(folder: Path) -> list[Remote]:
    return [ClearmlRemote(folder), WandbRemote(folder, survives=False)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--mode", default="sequential", choices=("sequential", "parallel"))
    options = parser.parse_args()
    print(f"{machine()}; PPO on CartPole-v1, {options.steps:,} steps an arm, {options.mode}")
    rounds = []
    for number in range(options.rounds):
        rounds.append(one_round(number, options.steps, options.mode))
        told, untold = rounds[-1]
        tell(
            f"round {number + 1}: {told.training_seconds:.2f} / {untold.training_seconds:.2f} s"
            f" in training, {told.wall_seconds:.1f} / {untold.wall_seconds:.1f} s in all"
        )
    ratios = [told.training_seconds / untold.training_seconds for told, untold in rounds]
    added = [told.wall_seconds - untold.wall_seconds for told, untold in rounds]
    equal = len({ran.parameters for pair in rounds for ran in pair}) == 1
    within = median(ratios) <= MOST
    print(f"{', '.join(TRACKERS)} at once")
    print(f"training time, told to all by told to nobody   {spread(ratios, 3)}")
    print(f"at most {MOST:.2f}: {'met' if within else 'NOT met'}")
    print(f"seconds more until the command ends            {spread(added, 1)}")
    print(f"parameters                                     {'equal' if equal else 'DIFFERENT'}")
    return 0 if within and equal else 1


if __name__ == "__main__":
    sys.exit(main())
