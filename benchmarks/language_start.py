"""How soon a run of a language model begins, with TRL imported ahead and without.

    python benchmarks/language_start.py --rounds 5

Both pools are warm and serve one run a round, in turns. The clock runs from the submission of the
run to the first record of its journal: by then the model is loaded and TRL is set up. Needs the
extra ``[llm]``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from measuring import ROOT, machine, spread

sys.path.insert(0, str(ROOT))
from launching import begun_at, launch

from src.experiments.execution import ExecutorSettings, create_executor
from src.experiments.training import warm_ups

POOLS = {"TRL imported ahead": warm_ups(["GRPO"]), "by each run": warm_ups(["PPO"])}


def main() -> None:
    """Print the seconds of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in POOLS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        executors = {
            name: stack.enter_context(
                create_executor("process", ExecutorSettings(slots=1, preload=modules))
            )
            for name, modules in POOLS.items()
        }
        for executor in executors.values():
            launch(executor, time.monotonic)  # waits until the pool is warm
        for number in range(rounds + 1):
            for name, executor in executors.items():
                seconds = launch(executor, partial(begun_at, folder / f"{name}-{number}"))
                if number:  # the first makes the tiny model, where there is none yet
                    taken[name].append(seconds)
    print(machine())
    for name, seconds in taken.items():
        print(f"{name:<20} {spread(seconds)} s from submission to the first record")
    ahead, late = (median(seconds) for seconds in taken.values())
    print(f"ratio                {ahead / late:.2f}")


if __name__ == "__main__":
    main()
