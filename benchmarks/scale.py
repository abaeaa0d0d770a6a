"""What the orchestrator itself costs per run when there are many: CPU time, memory, wall clock.

    python benchmarks/scale.py --rounds 5
    python benchmarks/scale.py --profile 1000

Each size is one experiment in parallel mode with two slots, monitoring on, in a process of its
own: `ExperimentRunner` from its start to the end of the report. The runs learn nothing
(`stand_in.py`): each writes a journal of some 20 rows, an evaluation and a model of 1 KiB. What
four runs cost (the fewest for which statistics are loaded) is taken for the fixed start-up and
subtracted; the rest is divided among the other runs. Small sizes are repeated within a round, and
their median counts: a start-up varies by more than a few runs cost. Every process has one thread.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

from measuring import ROOT, THREADS, machine, spread, tell

SIZES = (10, 100, 1000)
START_UP = 4
"""Runs of the experiment that stands for what any experiment costs."""
ENOUGH_RUNS = 100
"""A size is measured in each round so often that it comes to so many runs."""
SLOTS = 2
STEPS = 20_480
FLAT = 1.3
"""A cost per run is flat when the largest size's is at most so many times each other size's."""
COSTS = {
    "cpu": ("orchestrator's CPU time, ms", 1000.0),
    "children_cpu": ("CPU time of its children, ms", 1000.0),
    "memory": ("orchestrator's peak memory, KiB", 1024.0),
    "wall": ("wall clock, ms", 1000.0),
}
"""What is measured, in words, and how many of its units one of what is stored has."""
HELD_FLAT = ("cpu", "memory")
"""The costs that are the orchestrator's own."""

TOTALS = {"cpu": "s", "children_cpu": "s", "memory": "MiB", "wall": "s"}

Figures = dict[str, float]
"""Seconds of CPU time and wall clock, MiB of memory."""
Measured = dict[int, list[Figures]]
"""Of each size, round by round."""


def carry_out(runs: int) -> Figures:
    """One experiment of so many runs, in this process."""
    sys.path.insert(0, str(ROOT))
    import stand_in

    from src.experiments import runner as runner_module
    from src.experiments.domain.records import ExecutionMode
    from src.experiments.experiment import Experiment

    runner_module.train_run = stand_in.train
    arm = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": STEPS}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        started = time.perf_counter()
        experiment = Experiment(
            arm,
            {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}},
            "orchestration costs the same for each run",
            output_dir=folder,
            seeds=list(range(runs // 2)),
        )
        runner = runner_module.ExperimentRunner(experiment, ExecutionMode.PARALLEL, SLOTS)
        if not runner.run():
            sys.exit("\n".join(runner.failures))
        wall = time.perf_counter() - started
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "cpu": own.ru_utime + own.ru_stime,
        "children_cpu": children.ru_utime + children.ru_stime,
        "memory": own.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        "wall": wall,
    }


def measure(runs: int) -> Figures:
    """`carry_out` in a fresh process."""
    command = [sys.executable, __file__, "--carry-out", str(runs)]
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{runs} runs: {done.stderr or done.stdout}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure_often(runs: int) -> Figures:
    """The medians of enough measurements."""
    all_figures = [measure(runs) for _ in range(max(1, ENOUGH_RUNS // runs))]
    return {cost: median(figures[cost] for figures in all_figures) for cost in COSTS}


def per_run(cost: str, measured: Measured, runs: int) -> list[float]:
    """What each run adds to the start-up, round by round, in the printed unit."""
    _, units = COSTS[cost]
    return [
        (whole[cost] - fixed[cost]) * units / (runs - START_UP)
        for whole, fixed in zip(measured[runs], measured[START_UP], strict=True)
    ]


def stands_out(cost: str, measured: Measured, runs: int) -> bool:
    """Whether so many runs cost more than the start-up alone varies."""
    fixed = [figures[cost] for figures in measured[START_UP]]
    whole = [figures[cost] for figures in measured[runs]]
    return median(whole) - median(fixed) > max(fixed) - min(fixed)


def print_cost(cost: str, measured: Measured) -> bool:
    """Print a cost at each size and as ratios; whether it is flat."""
    words, _ = COSTS[cost]
    print(f"\n{words}, each run:")
    costs = {size: per_run(cost, measured, size) for size in measured if size != START_UP}
    for size, values in costs.items():
        total = median(figures[cost] for figures in measured[size])
        print(f"  {size:5} runs: {spread(values, 1)}; all together {total:.1f} {TOTALS[cost]}")
    *others, largest = costs
    verdicts = []
    for size in others:
        told = f"  {largest} runs / {size} runs:"
        if stands_out(cost, measured, size):
            ratios = [a / b for a, b in zip(costs[largest], costs[size], strict=True)]
            verdicts.append(median(ratios) <= FLAT)
            print(f"{told} {spread(ratios)}{at_most(cost, verdicts[-1])}")
        else:
            print(f"{told} {size} runs cost too little to stand out from the start-up")
    return bool(verdicts) and all(verdicts)


def at_most(cost: str, is_flat: bool) -> str:
    if cost not in HELD_FLAT:
        return ""
    return f", at most {FLAT}: {'met' if is_flat else 'NOT met'}"


def profile(runs: int) -> None:
    """Print where the orchestrator's main thread spends its time."""
    profiler = cProfile.Profile()
    figures = profiler.runcall(carry_out, runs)
    print(json.dumps(figures))
    for order in ("cumulative", "tottime"):
        pstats.Stats(profiler).sort_stats(order).print_stats(35)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="even numbers")
    parser.add_argument("--profile", type=int, metavar="RUNS", help="print where the time goes")
    parser.add_argument("--carry-out", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if any(size <= START_UP or size % 2 for size in options.sizes):
        parser.error(f"--sizes: need even numbers above {START_UP}")
    if options.carry_out:
        print(json.dumps(carry_out(options.carry_out)))
        return
    if options.profile:
        profile(options.profile)
        return
    conditions = machine()
    measured: Measured = {size: [] for size in (START_UP, *options.sizes)}
    for number in range(options.rounds):
        for size in measured:
            measured[size].append(measure_often(size))
            tell(f"round {number + 1} of {options.rounds}: {size} runs: {measured[size][-1]}")
    print(f"rounds: {options.rounds}; {conditions}; slots: {SLOTS}; 1 thread a process")
    flat = {cost: print_cost(cost, measured) for cost in COSTS}
    sys.exit(0 if all(flat[cost] for cost in HELD_FLAT) else 1)


if __name__ == "__main__":
    main()
