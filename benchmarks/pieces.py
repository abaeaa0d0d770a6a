"""What each piece of acceleration is worth: CPU time beside bare Stable-Baselines3.

    python benchmarks/pieces.py --rounds 5 --algorithms PPO SAC

All trainings are the library's own `learn` in this process, on one thread, in alternating rounds:
without acceleration, with all of it, and with all of it but one piece. A piece is worth what is
lost without it; what two pieces save together counts for neither.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection
from statistics import median

from measuring import ROOT, THREADS, machine, tell
from overhead import CASES, SEED

SHARE_OF_STEPS = {"PPO": 0.4, "A2C": 0.3, "DQN": 0.4, "SAC": 0.6, "TD3": 0.6}
"""Of the steps that `overhead.py` trains."""


def cpu_seconds(algorithm: str, pieces: Collection[str]) -> tuple[float, str]:
    """CPU time of one training with these pieces, and its parameters' SHA-256."""
    import stable_baselines3

    from src.experiments.training.sb3.acceleration import accelerated
    from src.experiments.training.sb3.parameters import parameters_sha256

    case = CASES[algorithm]
    kind = getattr(stable_baselines3, algorithm)
    model = kind("MlpPolicy", case.environment, seed=SEED, device="cpu")
    with accelerated(model, pieces):
        started = time.process_time()
        model.learn(int(case.steps * SHARE_OF_STEPS[algorithm]))
        seconds = time.process_time() - started
    return seconds, parameters_sha256(model)


def compare(algorithm: str, rounds: int) -> bool:
    """Print a column of figures; whether all parameters are equal."""
    from src.experiments.domain.acceleration import Piece

    ways: dict[str, set[str]] = {"none": set(), "all": set(Piece)}
    ways |= {f"without {piece}": set(Piece) - {piece} for piece in Piece}
    cpu_seconds(algorithm, set(Piece))  # what only the first one waits for
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    hashes = set()
    for number in range(rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            taken, sha256 = cpu_seconds(algorithm, ways[way])
            seconds[way].append(taken)
            hashes.add(sha256)
        tell(f"{algorithm}: round {number + 1} of {rounds}")
    ratio = {way: _ratio(taken, seconds["none"]) for way, taken in seconds.items()}
    print(f"\n{algorithm}: {median(seconds['none']):.2f} s; accelerated {ratio['all']:.3f} of it")
    for piece in sorted(Piece, key=lambda piece: -ratio[f"without {piece}"]):
        print(f"  {piece:13} {ratio[f'without {piece}'] - ratio['all']:+.3f}")
    print(f"  parameters: {'equal' if len(hashes) == 1 else 'DIFFER'}", flush=True)
    return len(hashes) == 1


def _ratio(taken: list[float], bare: list[float]) -> float:
    return median(a / b for a, b in zip(taken, bare, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--algorithms", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    sys.path.insert(0, str(ROOT))
    import torch

    torch.set_num_threads(1)
    print(f"share of bare SB3's CPU time that each piece saves; rounds: {options.rounds}; 1 thread")
    print(machine())
    equal = [compare(algorithm, options.rounds) for algorithm in options.algorithms]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
