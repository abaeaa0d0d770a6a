"""Training time, start-up and `--help` beside bare Stable-Baselines3.

    python benchmarks/overhead.py --rounds 5 --algorithms PPO A2C DQN SAC TD3 --through runner

Both sides train with the same seed on one thread, each in a process of its own, in alternating
rounds. Both evaluate equally often; evaluation is left out of both times. `trainer` is a training
process with journal and checkpoints; `runner` is the whole command line, which also watches the
machine, read off its results. CPU time is told of `trainer` alone; a machine that is busy with
something else changes it little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import ROOT, machine, spread

SEED = 42
EVALUATIONS = 4
EPISODES = 3
FIRST_STEP = "first_step"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Case:
    environment: str
    steps: int
    at_most: float
    """Our time by the library's."""


CASES = {
    "PPO": Case("CartPole-v1", 10_240, 0.80),
    "A2C": Case("CartPole-v1", 10_000, 0.80),
    "DQN": Case("CartPole-v1", 12_000, 0.95),
    "SAC": Case("Pendulum-v1", 600, 0.95),
    "TD3": Case("Pendulum-v1", 600, 0.95),
}
STEPS_OF_VARIANT = 64
"""The other arm, which is not looked at, trains as little as it can."""
TARGET_START_SECONDS, TARGET_HELP_SECONDS = 0.5, 0.25


def train_bare(algorithm: str) -> dict[str, Any]:
    """Plain Stable-Baselines3; pauses its clock to evaluate as often as we do."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    case = CASES[algorithm]
    torch.set_num_threads(1)

    class Evaluation(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.environment = make_vec_env(case.environment)
            self.following = case.steps // EVALUATIONS
            self.wall = self.cpu = 0.0

        def _on_rollout_start(self) -> None:
            if self.num_timesteps >= self.following:
                wall, cpu = time.perf_counter(), time.process_time()
                evaluate_policy(self.model, self.environment, EPISODES)
                self.following += case.steps // EVALUATIONS
                self.wall += time.perf_counter() - wall
                self.cpu += time.process_time() - cpu

        def _on_step(self) -> bool:
            return True

    evaluation = Evaluation()  # before the model: make_vec_env draws from NumPy's generator
    first = note_first_step()
    model = getattr(stable_baselines3, algorithm)("MlpPolicy", case.environment, seed=SEED)
    wall, cpu = time.perf_counter(), time.process_time()
    model.learn(case.steps, callback=evaluation)
    seconds = time.perf_counter() - wall - evaluation.wall
    cpu_seconds = time.process_time() - cpu - evaluation.cpu

    from src.experiments.training.sb3.parameters import parameters_sha256

    return {"wall": seconds, "cpu": cpu_seconds, "sha256": parameters_sha256(model), **first}


def train_ours(algorithm: str) -> dict[str, Any]:
    """`Trainer` with journal and checkpoints, as a training process runs it."""
    from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
    from src.experiments.training import Trainer
    from src.experiments.training.sb3.backend import StableBaselines

    first = note_first_step()
    cpu = {"train": 0.0, "evaluate": 0.0}
    for name in cpu:
        add_cpu_time(StableBaselines, name, cpu)
    case = CASES[algorithm]
    with tempfile.TemporaryDirectory() as scratch:
        config = TrainerConfig(
            algorithm,
            case.environment,
            case.steps,
            SEED,
            evaluation=EvaluationProtocol(case.steps // EVALUATIONS, EPISODES, final_episodes=1),
            run_dir=Path(scratch) / "run",
            checkpoints=Path(scratch) / "checkpoints",
        )
        result = Trainer(config).train()
    seconds = cpu["train"] - cpu["evaluate"]
    return {
        "wall": result.training_time,
        "cpu": seconds,
        "sha256": result.parameters_sha256,
        **first,
    }


def add_cpu_time(owner: type, name: str, seconds: dict[str, float]) -> None:
    original = getattr(owner, name)

    def measured(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        result = original(*args, **kwargs)
        if not (name == "evaluate" and seconds["train"]):  # the final one comes after training
            seconds[name] += time.process_time() - started
        return result

    setattr(owner, name, measured)


def note_first_step() -> dict[str, float]:
    """A dictionary that receives the time of the first training step."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    noted: dict[str, float] = {}
    original = DummyVecEnv.step_wait

    def step_wait(self: DummyVecEnv) -> Any:
        noted[FIRST_STEP] = time.time()
        DummyVecEnv.step_wait = original
        return original(self)

    DummyVecEnv.step_wait = step_wait
    return noted


def run_side(side: str, algorithm: str) -> dict[str, Any]:
    """Train one side in a fresh process; adds the seconds from its start to the first step."""
    if side == "runner":
        return run_command_line(algorithm)
    started = time.time()
    command = [sys.executable, __file__, "--side", side, "--algorithms", algorithm]
    result = json.loads(run(command).splitlines()[-1])
    return {**result, "start": result[FIRST_STEP] - started}


def run_command_line(algorithm: str) -> dict[str, Any]:
    """The whole command line; the variant is trained after the baseline and not looked at."""
    case = CASES[algorithm]
    arm = {
        "algorithm": algorithm,
        "environment": case.environment,
        "training_steps": case.steps,
        "seed": SEED,
    }
    protocol = {"frequency": case.steps // EVALUATIONS, "episodes": EPISODES, "final_episodes": 1}
    experiment = {
        "experiment_id": "overhead",
        "baseline_config": arm,
        "variant_config": {"extends": "baseline", "training_steps": STEPS_OF_VARIANT},
        "evaluation": protocol,
    }
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "overhead.json"
        file.write_text(json.dumps(experiment))
        started = time.time()
        options = ["--config", str(file), "--output-dir", scratch]
        run([sys.executable, "-m", "src.experiments.runner", *options])
        directory = Path(scratch) / "overhead"
        results = json.loads((directory / "results.json").read_text())
        journal = (directory / "runs" / f"baseline_seed{SEED}" / "journal.jsonl").read_text()
    baseline = next(entry for entry in results["runs"] if entry["arm"] == "baseline")
    first = json.loads(journal.splitlines()[0])["time"]
    return {
        "wall": baseline["training_time"],
        "sha256": baseline["parameters_sha256"],
        "start": first - started,
    }


def run(command: list[str]) -> str:
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def compare(algorithm: str, side: str, rounds: int) -> bool:
    """Print one line of the table; whether everything is within its target."""
    ours, bare = [], []
    for number in range(rounds):
        for name, results in [("bare", bare), (side, ours)][:: 1 if number % 2 == 0 else -1]:
            results.append(run_side(name, algorithm))
    ratios = [a["wall"] / b["wall"] for a, b in zip(ours, bare, strict=True)]
    of_cpu = [a["cpu"] / b["cpu"] for a, b in zip(ours, bare, strict=True) if "cpu" in a]
    cpu = f"{median(of_cpu):.2f}" if of_cpu else "-"
    start = median(a["start"] for a in ours) - median(b["start"] for b in bare)
    equal = len({result["sha256"] for result in ours + bare}) == 1
    bare_seconds, our_seconds = ([each["wall"] for each in side] for side in (bare, ours))
    print(
        f"{algorithm:5} {side:8} {spread(bare_seconds):22} {spread(our_seconds):22} "
        f"{spread(ratios):22} {cpu:5} {CASES[algorithm].at_most:.2f}     {start:+6.2f} s   "
        f"{'equal' if equal else 'DIFFER'} {bare[0]['sha256'][:12]}",
        flush=True,
    )
    is_fast = median(ratios) <= CASES[algorithm].at_most
    return equal and is_fast and start <= TARGET_START_SECONDS


def help_seconds(rounds: int) -> tuple[float, bool]:
    """Seconds that `--help` takes, and whether it imports torch."""
    command = [sys.executable, "-m", "src.experiments.runner", "--help"]
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        run(command)
        seconds.append(time.perf_counter() - started)
    imported = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    return median(seconds), any(
        line.split("|")[-1].strip() == "torch" for line in imported.splitlines()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--through", nargs="+", choices=["trainer", "runner"], default=["trainer"])
    parser.add_argument("--no-help-time", action="store_true", help="leave out the time of --help")
    parser.add_argument("--side", choices=["bare", "trainer"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        train = {"bare": train_bare, "trainer": train_ours}[options.side]
        print(json.dumps(train(options.algorithms[0])))
        return
    print(f"training time in seconds: median (range) of {options.rounds} rounds; 1 thread each")
    print(machine())
    print(
        f"{'':14} {'bare SB3':22} {'ours':22} {'ratio':22} CPU   at most  start later  parameters",
        flush=True,
    )
    sides = [(name, side) for name in options.algorithms for side in options.through]
    within = [compare(algorithm, side, options.rounds) for algorithm, side in sides]
    if not options.no_help_time:
        seconds, torch_imported = help_seconds(options.rounds)
        print(f"--help: {seconds:.2f} s, torch {'IMPORTED' if torch_imported else 'not imported'}")
        within.append(seconds <= TARGET_HELP_SECONDS and not torch_imported)
    print("within all targets" if all(within) else "NOT within all targets")
    sys.exit(0 if all(within) else 1)


if __name__ == "__main__":
    main()
