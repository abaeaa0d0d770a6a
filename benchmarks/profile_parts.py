"""Where the time of a training goes, without and with acceleration, as py-spy samples it.

    python benchmarks/profile_parts.py --algorithms PPO SAC

Each training is a process of its own on one thread, sampled some hundred times a second. A sample
counts for the first part below that one of its frames belongs to.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from measuring import ROOT, THREADS, machine, tell
from overhead import CASES, SEED

SAMPLES_A_SECOND = 200
PARTS = {
    "environment": r"\bstep \(\S*(gymnasium|monitor\.py|keeper\.py)|\breset \(\S*gymnasium",
    "vector of environments": r"dummy_vec_env\.py|vec_normalize\.py",
    "storing experience": r"\b(add|_store_transition|compute_returns_and_advantage) \(",
    "choosing actions": r"\b(collect_rollouts .*\b(forward|predict|predict_values)) \(",
    "collecting, the rest": r"\bcollect_rollouts \(",
    "gradients": r"\bbackward \(|_engine_run_backward",
    "optimisers' steps": r"\b(step|lean_step|_use_grad|zero_grad|forget|clip_grad_norm_) \(",
    "targets": r"\b(polyak_update|update) \(\S*(utils|targets)\.py",
    "reading experience": r"\b(sample|get|_get_samples) \(\S*buffers\.py",
    "losses": r"\btrain \(",
    "the rest": r"",
}
"""A stack, from its root to its leaf, belongs to the first part whose pattern it holds."""


def samples(algorithm: str, *, accelerate: bool) -> Counter[str]:
    """How many samples fell to each part of a training."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks.txt"
        command = ["py-spy", "record", "--format", "raw", "--rate", str(SAMPLES_A_SECOND)]
        command += ["--output", str(stacks), "--", sys.executable, __file__]
        command += ["--train", algorithm, *(["--accelerate"] if accelerate else [])]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
        return counted(stacks.read_text())


def counted(stacks: str) -> Counter[str]:
    """The samples of a training, by part, of py-spy's lines "frame;frame;... count"."""
    parts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        _, is_training, inside = stack.partition("learn (")
        if is_training:
            part = next(name for name, sign in PARTS.items() if re.search(sign, inside))
            parts[part] += int(count)
    return parts


def train(algorithm: str, accelerate: bool) -> None:
    """Train once; this is what is sampled."""
    import stable_baselines3
    import torch

    from src.experiments.training.sb3.acceleration import accelerated

    torch.set_num_threads(1)
    case = CASES[algorithm]
    kind = getattr(stable_baselines3, algorithm)
    model = kind("MlpPolicy", case.environment, seed=SEED, device="cpu")
    with accelerated(model, accelerate):
        model.learn(case.steps)


def print_parts(algorithm: str) -> None:
    before = samples(algorithm, accelerate=False)
    after = samples(algorithm, accelerate=True)
    tell(f"{algorithm}: sampled")
    per_step = 1e6 / SAMPLES_A_SECOND / CASES[algorithm].steps
    print(f"\n{algorithm + ', µs a step':24} bare  accelerated")
    for part in PARTS:
        if before[part] or after[part]:
            print(f"  {part:22} {before[part] * per_step:6.0f}  {after[part] * per_step:6.0f}")
    totals = (sum(counts.values()) * per_step for counts in (before, after))
    print("  {:22} {:6.0f}  {:6.0f}".format("together", *totals), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--train", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--accelerate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train, options.accelerate)
        return
    print("where the time goes, sampled by py-spy; 1 thread")
    print(machine())
    for algorithm in options.algorithms:
        print_parts(algorithm)


if __name__ == "__main__":
    main()
