"""What checkpoints cost: their share of training time, and what the size of a buffer adds.

    python benchmarks/checkpoint.py --rounds 3

The share is measured inside runs that save checkpoints at the default frequency: the seconds in
which training waits for a checkpoint, trials of environments included, by the rest of the training
time. The same run without checkpoints stands beside it, in alternating rounds; its parameters must
be the same. The second table saves a replay buffer of 100,000 and 1,000,000 rows after 10,000 more
rows were written, beside a pickle of the whole buffer.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import ROOT, machine, spread, tell

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
NEW_ROWS = 10_000


@dataclass(frozen=True)
class Case:
    """A run whose checkpoints may take at most this share of its training time."""

    algorithm: str
    environment: str
    steps: int
    most: float


CASES = {
    "PPO": Case("PPO", "CartPole-v1", 61_440, 0.01),
    "SAC": Case("SAC", "Pendulum-v1", 21_000, 0.03),  # the default buffer has 1,000,000 rows
}
SIZES = (100_000, 1_000_000)


# ---- the share of training time


def train(case: Case, *, saves: bool) -> dict[str, Any]:
    """Train one run in this process and time what its checkpoints take."""
    from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
    from src.experiments.training import Trainer
    from src.experiments.training.run_checkpoints import RunCheckpoints
    from src.experiments.training.sb3.backend import StableBaselines
    from src.experiments.training.sb3.state.vector import KeptVector

    spent: list[float] = []
    add_time(RunCheckpoints, "save", spent)
    add_time(StableBaselines, "capture", spent)
    add_time(KeptVector, "begin_trial", first := [])
    with tempfile.TemporaryDirectory() as scratch:
        config = TrainerConfig(
            case.algorithm,
            case.environment,
            case.steps,
            seed=42,
            evaluation=EvaluationProtocol(10**9, 1, final_episodes=1),
            run_dir=Path(scratch) / "run",
            checkpoints=Path(scratch) / "checkpoints" if saves else None,
        )
        result = Trainer(config).train()
    # the first trial begins before any checkpoint; later ones are timed as a part of `capture`
    waited = sum(spent) + sum(first[:1])
    return {
        "seconds": result.training_time,
        "share": waited / (result.training_time - waited),
        "checkpoints": len(spent) // 2,
        "sha256": result.parameters_sha256,
    }


def add_time(owner: type, name: str, seconds: list[float]) -> None:
    """Let a method of a class append how long each call takes."""
    original = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - started)

    setattr(owner, name, timed)


def in_a_process(name: str, saves: bool) -> dict[str, Any]:
    """The same in a process of its own, on one thread."""
    command = [sys.executable, __file__, "--train", name, *(["--saves"] if saves else [])]
    told = subprocess.check_output(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, text=True)
    report: dict[str, Any] = json.loads(told.splitlines()[-1])
    return report


def compare_shares(names: list[str], rounds: int) -> bool:
    """Print a row for each case; whether all are within their targets and equal in their bits."""
    print(f"\nwhat checkpoints at the default frequency take of training; rounds: {rounds}")
    print(f"{'':5} {'share of training time':28} {'with / without':22} checkpoints  parameters")
    is_met = True
    for name in names:
        pairs = []
        for number in range(rounds):
            order = (True, False) if number % 2 else (False, True)
            done = {saves: in_a_process(name, saves) for saves in order}
            pairs.append((done[True], done[False]))
            tell(f"{name}, round {number + 1}: {done[True]['share']:.4f}")
        shares = [with_them["share"] for with_them, _ in pairs]
        ratios = [a["seconds"] / b["seconds"] for a, b in pairs]
        equal = len({each["sha256"] for pair in pairs for each in pair}) == 1
        told = "equal" if equal else "DIFFERENT"
        count = pairs[0][0]["checkpoints"]
        print(f"{name:5} {spread(shares, 4):28} {spread(ratios, 3):22} {count:11}  {told}")
        within = median(shares) <= CASES[name].most
        print(f"      at most {CASES[name].most:.2f}: {'met' if within else 'NOT met'}")
        is_met = is_met and within and equal
    return is_met


# ---- what the size of a buffer adds


def compare_sizes(repeats: int) -> bool:
    """Print a row for each size; whether the cost follows the new rows alone."""
    print(f"\na replay buffer of Pendulum-v1 after {NEW_ROWS:,} more rows, {repeats} times, in ms")
    print(f"{'rows':>10}  {'the new rows':26} {'a pickle of all':26} ratio")
    appended = {size: _print_size(size, repeats) for size in SIZES}
    growth = appended[SIZES[-1]] / appended[SIZES[0]]
    is_met = growth < 2.0
    met = "met" if is_met else "NOT met"
    print(f"ten times the rows: {growth:.2f} times the cost, at most 2: {met}")
    return is_met


def _print_size(size: int, repeats: int) -> float:
    from src.experiments.durability.segments import SegmentWriter
    from src.experiments.training.sb3.state.experience import KeptExperience

    with tempfile.TemporaryDirectory() as scratch:
        model, fill = _filled_model(size)
        writer, kept = SegmentWriter(Path(scratch), "experience"), KeptExperience(model)
        kept.capture(writer)
        appended, whole = [], []
        for _ in range(repeats):
            fill(NEW_ROWS)
            appended.append(_milliseconds(lambda: kept.capture(writer)))
            whole.append(_milliseconds(lambda: _pickle(model.replay_buffer, Path(scratch))))
    ratio = median(appended) / median(whole)
    print(f"{size:10,}  {spread(appended, 1):26} {spread(whole, 1):26} {ratio:.4f}")
    return median(appended)


def _filled_model(size: int) -> tuple[Any, Callable[[int], None]]:
    """A SAC model whose buffer is full, and a way to write more rows into it."""
    import numpy as np
    from stable_baselines3 import SAC

    model = SAC("MlpPolicy", "Pendulum-v1", buffer_size=size)
    buffer, generator = model.replay_buffer, np.random.default_rng(0)

    def fill(count: int) -> None:
        rows = np.arange(model.num_timesteps, model.num_timesteps + count) % size
        for array in (buffer.observations, buffer.next_observations, buffer.actions):
            array[rows] = generator.standard_normal((count, *array.shape[1:]))
        buffer.rewards[rows] = generator.standard_normal((count, 1))
        model.num_timesteps += count
        buffer.pos, buffer.full = model.num_timesteps % size, model.num_timesteps >= size

    fill(size)
    return model, fill


def _pickle(buffer: Any, folder: Path) -> None:
    with (folder / "whole.pkl").open("wb") as file:
        pickle.dump(buffer, file)
        file.flush()
        os.fsync(file.fileno())


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=[*CASES, "sizes"], default=[*CASES, "sizes"])
    parser.add_argument("--train", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--saves", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.train:
        print(json.dumps(train(CASES[options.train], saves=options.saves)))
        return
    print(machine())
    names = [name for name in options.only if name in CASES]
    is_met = compare_sizes(5) if "sizes" in options.only else True
    is_met = compare_shares(names, options.rounds) and is_met if names else is_met
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
