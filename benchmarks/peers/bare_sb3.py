"""Plain Stable-Baselines3: PPO on CartPole, the runs one after the other in one process.

Writes a JSON file: seconds of the imports, of each run's training, and each run's parameters' SHA.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def import_seconds() -> float:
    """Seconds from the start of this program to the end of the first optimiser step.

    That step imports a second's worth of modules; it is no part of training.
    """
    import stable_baselines3  # noqa: F401
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight])
    torch.autograd.backward((weight * 2.0).sum())
    optimizer.step()
    return time.perf_counter() - STARTED


def train(learning_rate: float, seed: int, steps: int) -> dict[str, Any]:
    """Train one run with the library's defaults: no evaluation, no log, nothing saved."""
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", "CartPole-v1", learning_rate=learning_rate, seed=seed)
    started = time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - started
    return {"training_seconds": seconds, "sha256": sha256(model)}


def sha256(model: Any) -> str:
    """SHA-256 of the policy's sorted parameter names and raw bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.policy.state_dict().items()):
        digest.update(f"policy.{name}\0".encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learning-rates", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    importing = import_seconds()
    runs = {
        f"{learning_rate:g}, seed {seed}": train(learning_rate, seed, options.steps)
        for learning_rate in options.learning_rates
        for seed in options.seeds
    }
    options.report.write_text(json.dumps({"import_seconds": importing, "runs": runs}))


if __name__ == "__main__":
    main()
