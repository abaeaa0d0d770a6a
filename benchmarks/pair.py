"""How long an experiment takes from command to end, beside bare Stable-Baselines3 and peers.

    python benchmarks/pair.py --rounds 5 --peers .venv-peers/bin/python
    python benchmarks/pair.py --rounds 5 --eight

Every row trains the same PPO CartPole-v1 runs; its time is the wall clock of its whole command,
start-up included. It is printed as a ratio to T* of the same round, the shortest time in which
Stable-Baselines3 on one thread a run could be done, measured inside the first row:

    T* = max(longest training, sum of trainings / cores) + one import with a first optimiser step

The rows of ours also write journals, watch resources, evaluate (one episode after training, one
final), compare the arms and write a report; the others train only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from measuring import CORES, ROOT, Hashes, Row, spread, tell
from table import IDEAL, Target, compare

RATES = {"baseline": 3e-4, "variant": 1e-3}
"""Learning rate of each arm."""
PEERS = ROOT / "benchmarks" / "peers"
WORKERS = 2
REFERENCE = "bare"
"""The row that T* is measured in."""
ONE_THREAD, DEFAULTS = "1 thread", "library defaults"
OUR_THREADS = "1 thread (its default)"
LAUNCHES = 20
LAUNCH_SECONDS = 0.1


@dataclass(frozen=True)
class Work:
    """What every row trains: both arms with each seed."""

    steps: int
    seeds: tuple[int, ...]

    def options(self, folder: Path) -> list[str]:
        """Of the peers' scripts, which write their report to the folder."""
        rates, seeds = (list(map(str, values)) for values in (RATES.values(), self.seeds))
        report = str(folder / "report.json")
        wanted = ["--learning-rates", *rates, "--seeds", *seeds]
        return [*wanted, "--steps", str(self.steps), "--report", report]

    def experiment_file(self, folder: Path) -> Path:
        """Of ours; it evaluates as little as it can."""
        arm = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": self.steps}
        document = {
            "experiment_id": "pair",
            "seeds": list(self.seeds),
            "baseline_config": {**arm, "hyperparameters": {"learning_rate": RATES["baseline"]}},
            "variant_config": {
                "extends": "baseline",
                "hyperparameters": {"learning_rate": RATES["variant"]},
            },
            "evaluation": {"frequency": self.steps, "episodes": 1, "final_episodes": 1},
        }
        file = folder / "pair.json"
        file.write_text(json.dumps(document))
        return file


PAIR = Work(10_240, (42,))
PAIR_TARGETS = (
    Target("parallel", IDEAL, 0.95),
    Target("parallel", "zoo", 0.45),
    Target("parallel", "tune", 0.40),
)
EIGHT = Work(8_192, (1, 2, 3, 4))
EIGHT_TARGETS = (Target("parallel", IDEAL, 1.0),)


# ---- the rows


def bare_rows(work: Work) -> list[Row]:
    """Stable-Baselines3 without anything else; the first row is the reference."""
    rows = {REFERENCE: True, "bare-defaults": False}
    return [
        Row(
            key,
            "bare SB3, one after the other",
            ONE_THREAD if one_thread else DEFAULTS,
            lambda folder: [[sys.executable, str(PEERS / "bare_sb3.py"), *work.options(folder)]],
            one_thread=one_thread,
            hashes=reported_hashes if one_thread else None,  # they depend on the threads
        )
        for key, one_thread in rows.items()
    ]


def zoo_rows(work: Work, python: str) -> list[Row]:
    """rl_zoo3, a command a run; neither evaluation nor checkpoints."""
    return [
        Row(
            f"zoo{'-at-once' if at_once else ''}{'' if one_thread else '-defaults'}",
            f"rl_zoo3, {'two at once' if at_once else 'one after the other'}",
            ONE_THREAD if one_thread else DEFAULTS,
            partial(zoo_commands, work, python),
            at_once=at_once,
            one_thread=one_thread,
            hashes=partial(zoo_hashes, python) if one_thread else None,
        )
        for at_once in (False, True)
        for one_thread in (True, False)
    ]


def zoo_commands(work: Work, python: str, folder: Path) -> list[list[str]]:
    command = [python, "-m", "rl_zoo3.train", "--algo", "ppo", "--env", "CartPole-v1"]
    command += ["-n", str(work.steps), "--conf-file", str(PEERS / "ppo.yml"), "--eval-freq", "-1"]
    commands = []
    for rate in RATES.values():
        for seed in work.seeds:
            where = str(folder / run_name(rate, seed))
            options = ["--seed", str(seed), "-params", f"learning_rate:{rate}", "-f", where]
            commands.append([*command, *options])
    return commands


def tune_row(work: Work, python: str) -> Row:
    """Ray Tune with a function trainable."""
    return Row(
        "tune",
        "Ray Tune, 2 CPUs",
        ONE_THREAD,
        lambda folder: [[python, str(PEERS / "ray_tune.py"), *work.options(folder)]],
        one_thread=True,
        hashes=reported_hashes,
    )


def our_row(work: Work, key: str, name: str, *options: str) -> Row:
    """The command line as a user types it."""

    def commands(folder: Path) -> list[list[str]]:
        command = [sys.executable, "-m", "src.experiments.runner"]
        file = str(work.experiment_file(folder))
        return [[*command, "--config", file, "--output-dir", str(folder), *options]]

    return Row(key, name, OUR_THREADS, commands, hashes=our_hashes)


def our_parallel_row(work: Work, key: str, name: str, *options: str) -> Row:
    return our_row(work, key, name, "--mode", "parallel", "--max-workers", str(WORKERS), *options)


def pair_rows(work: Work, peers: str | None) -> list[Row]:
    """Every row of the table; those of the peers only where their interpreter is known."""
    of_peers = [*zoo_rows(work, peers), tune_row(work, peers)] if peers else []
    return [
        *bare_rows(work),
        *of_peers,
        our_row(work, "sequential", "ours, sequential"),
        our_parallel_row(work, "parallel", "ours, parallel, 2 workers"),
        our_parallel_row(work, "ray", "ours, parallel on Ray, 2 workers", "--executor", "ray"),
    ]


# ---- what a row leaves


def run_name(rate: float, seed: int) -> str:
    return f"{rate:g}, seed {seed}"


def reported_hashes(folder: Path) -> Hashes:
    runs = json.loads((folder / "report.json").read_text())["runs"]
    return {name: run["sha256"] for name, run in runs.items()}


def zoo_hashes(python: str, folder: Path) -> Hashes:
    command = [python, str(PEERS / "saved_hashes.py"), str(folder)]
    hashes: Hashes = json.loads(subprocess.check_output(command, text=True))
    return hashes


def our_hashes(folder: Path) -> Hashes:
    runs = json.loads((folder / "pair" / "results.json").read_text())["runs"]
    return {run_name(RATES[run["arm"]], run["seed"]): run["parameters_sha256"] for run in runs}


def shortest_time(row: Row, folder: Path, *, with_import: bool) -> Mapping[str, float]:
    """T* from the reference's own clocks; of the other rows nothing."""
    if row.key != REFERENCE:
        return {}
    report = json.loads((folder / "report.json").read_text())
    trainings = [run["training_seconds"] for run in report["runs"].values()]
    importing = report["import_seconds"]
    if not with_import:
        return {IDEAL: sum(trainings) / WORKERS}
    return {
        IDEAL: max(*trainings, sum(trainings) / CORES) + importing,
        "longest training": max(trainings),
        "import": importing,
    }


# ---- the tables


def compare_pair(steps: int, peers: str | None, only: Sequence[str], rounds: int) -> bool:
    work = Work(steps, PAIR.seeds)
    rows = [row for row in pair_rows(work, peers) if not only or row.key in (REFERENCE, *only)]
    if not peers:
        tell("without --peers, rl_zoo3 and Ray Tune are left out (benchmarks/peers/README.md)")
    title = f"a pair of PPO CartPole-v1 runs, {steps:,} steps, seed {work.seeds[0]}"
    return compare(title, rows, PAIR_TARGETS, rounds, partial(shortest_time, with_import=True))


def compare_eight(steps: int, rounds: int) -> bool:
    work = Work(steps, EIGHT.seeds)
    rows = [bare_rows(work)[0], our_parallel_row(work, "parallel", "ours, parallel, 2 workers")]
    title = f"eight PPO CartPole-v1 runs, {steps:,} steps, 4 seeds an arm; T* is half the training"
    met = compare(title, rows, EIGHT_TARGETS, rounds, partial(shortest_time, with_import=False))
    return print_launches() and met


def print_launches() -> bool:
    """Print how soon a further run starts; whether that is soon enough."""
    sys.path.insert(0, str(ROOT))
    from launching import launch_seconds

    first_line, first_step = launch_seconds(LAUNCHES)
    is_met = median(first_line) <= LAUNCH_SECONDS
    print(f"\n  launching a further run, {LAUNCHES} times, one after the other, 1 thread")
    print(
        f"to its first line: {spread(first_line, 3)} s, at most {LAUNCH_SECONDS} s: "
        f"{'met' if is_met else 'NOT met'}"
    )
    print(f"to its first environment step: {spread(first_step, 3)} s")
    return is_met


def interpreter(text: str) -> str:
    path = Path(text).absolute()  # not resolved: a virtual environment's interpreter is a link
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no file {path}; see benchmarks/peers/README.md")
    return str(path)


def main() -> None:
    keys = [row.key for row in pair_rows(PAIR, sys.executable)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=keys, default=[], help="leave out other rows")
    parser.add_argument("--steps", type=int, help="timesteps of each run")
    parser.add_argument(
        "--peers", type=interpreter, help="the interpreter of the peers' virtual environment"
    )
    parser.add_argument("--eight", action="store_true", help="eight runs instead of a pair")
    options = parser.parse_args()
    if options.eight:
        met = compare_eight(options.steps or EIGHT.steps, options.rounds)
    else:
        steps = options.steps or PAIR.steps
        met = compare_pair(steps, options.peers, options.only, options.rounds)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
