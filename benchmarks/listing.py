"""How long it takes to find an experiment among many: `list`, `show`, `watch`.

    python benchmarks/listing.py --experiments 1000 --rounds 9

The experiments are written by the product's own functions and have come to their verdict; nothing
is trained. Each command is a process of its own, in alternating rounds. The same `list` is measured
three ways: of an empty directory (what Python, its imports and the command line take), without an
index (`cold`: everything is read, and the index written), and with one (`warm`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from measuring import ROOT, machine, spread, tell

TARGET_SECONDS = 0.3
"""Wall clock of every command but the cold one."""
SETTLING_SECONDS = 2.1
"""The index keeps nothing of files that have changed so recently."""


@dataclass
class Row:
    """One command, and what it took, round by round."""

    name: str
    words: list[str]
    is_held: bool = True
    """Whether it is held to the target."""
    before: Callable[[], None] = lambda: None
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def generate(folder: Path, count: int) -> None:
    """Write so many experiments as if they had been carried out."""
    sys.path.insert(0, str(ROOT))
    from src.experiments.experiment import Experiment
    from src.experiments.outputs.derived import write_results

    environments = ("CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0")
    for number in range(count):
        arm = {
            "algorithm": "PPO" if number % 3 else "A2C",
            "environment": environments[number % len(environments)],
            "training_steps": 20_480,
        }
        experiment = Experiment(
            arm,
            {"extends": "baseline", "hyperparameters": {"gamma": 0.9 + number / count / 20}},
            f"Question {number}: a shorter horizon makes {arm['algorithm']} learn faster",
            experiment_id=f"question-{number:04d}",
            output_dir=folder,
            seeds=3,
            tags=[f"sweep-{number % 10}", "benchmark"],
        )
        experiment.begin()
        for run in experiment.runs():
            score = 100.0 + run.seed + number % 7
            scores = {"final_return": score, "final_mean_reward": score, "auc": score / 2}
            experiment.add_result(run.arm, {"seed": run.seed, "training_time": 9.0, **scores})
            experiment.save_result(run)
        experiment.stop()
        experiment.save()
        write_results(experiment)


def run_once(row: Row) -> str:
    """Carry a command out and note what it took; what it printed."""
    row.before()
    command = [sys.executable, *row.words]
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
        row.wall.append(time.perf_counter() - started)
        process.returncode = os.waitstatus_to_exitcode(status)
        row.cpu.append(used.ru_utime + used.ru_stime)
        output.seek(0)
        printed = output.read().decode()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}\n{printed}")
    return printed


def rows_for(folder: Path, empty: Path, count: int) -> list[Row]:
    def ours(*words: str, of: Path = folder) -> list[str]:
        return ["-m", "src.experiments", *words, "--output-dir", str(of)]

    sys.path.insert(0, str(ROOT))
    from src.experiments.durability.experiment_index import INDEX_NAME

    def forget() -> None:
        (folder / INDEX_NAME).unlink(missing_ok=True)

    one = f"question-{count // 2:04d}"
    filters = ["--tag", "sweep-3", "--env", "CartPole"]
    return [
        Row("python -c pass", ["-c", "pass"], is_held=False),
        Row("list of nothing", ours("list", of=empty)),
        Row("list, cold", ours("list"), is_held=False, before=forget),
        Row("list, warm", ours("list")),
        Row("list --json, warm", ours("list", "--json")),
        Row(f"list {' '.join(filters)}, warm", ours("list", *filters)),
        Row(f"show {one}", ours("show", one)),
        Row(f"watch {one}, which has ended", ours("watch", one)),
    ]


def print_rows(rows: list[Row]) -> bool:
    """The table; whether every command that is held to the target meets it."""
    wide = max(len(row.name) for row in rows)
    print(f"{'':{wide}}  {'wall clock, s':24}  {'CPU time, s':24}  at most {TARGET_SECONDS} s")
    for row in rows:
        is_met = median(row.wall) <= TARGET_SECONDS
        told = ("met" if is_met else "NOT met") if row.is_held else ""
        print(f"{row.name:{wide}}  {spread(row.wall):24}  {spread(row.cpu):24}  {told}".rstrip())
    by_name = {row.name: row for row in rows}
    start, warm, cold = (by_name[f"list{each}"] for each in (" of nothing", ", warm", ", cold"))
    for words, values in (("wall clock", "wall"), ("CPU time", "cpu")):
        begun, listed, read = (median(getattr(row, values)) for row in (start, warm, cold))
        print(
            f"{words}: start-up is {begun / listed:.0%} of the warm list; "
            f"cold / warm {read / listed:.1f}"
        )
    return all(median(row.wall) <= TARGET_SECONDS for row in rows if row.is_held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="use these, made where absent")
    options = parser.parse_args()
    conditions = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, empty = options.keep or Path(scratch) / "many", Path(scratch) / "empty"
        empty.mkdir()
        if not folder.exists():
            tell(f"writing {options.experiments} experiments")
            generate(folder, options.experiments)
            time.sleep(SETTLING_SECONDS)
        rows = rows_for(folder, empty, options.experiments)
        for number in range(options.rounds):
            printed = {row.name: run_once(row) for row in rows}
            tell(f"round {number + 1} of {options.rounds}: {rows[3].wall[-1]:.3f} s")
        listed = len(printed["list, warm"].splitlines()) - 2
        if listed != options.experiments or printed["list, warm"] != printed["list, cold"]:
            sys.exit(f"{listed} experiments were listed, or not the same ones warm and cold")
    print(f"experiments: {options.experiments}; rounds: {options.rounds}; {conditions}")
    sys.exit(0 if print_rows(rows) else 1)


if __name__ == "__main__":
    main()
