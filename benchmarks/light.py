"""How light the orchestrator is while eight runs train, and while it reads very long journals.

    python benchmarks/light.py
    python benchmarks/light.py --records 2000000

The first starts `python -m src.experiments.runner` in parallel mode with eight PPO runs at once, of
a fixed design and of a sequential one, and samples that process ten times a second: its resident
memory from the start to the end of the last run, and its processor time while runs train. The
second writes one run's journal of so many records, and derives store and report from it in a
process of its own: what that takes must not grow with the journal.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from measuring import ROOT, THREADS, machine, tell

TARGET_MB = 80.0
"""Resident, from the start to the last run's end."""
TARGET_CORE = 0.01
"""Of a core, from the first run's start to the last one's end."""
TARGET_GROWTH_MB = 64.0
"""By which a long journal may take more than a short one."""
SHORT = 1_000
"""Records of the journal that a long one is compared with."""
SAMPLES_EACH_SECOND = 10
SEEDS = 4
"""Of each arm: eight runs."""
DESIGNS: dict[str, dict[str, object]] = {
    "fixed": {"seeds": SEEDS},
    "sequential": {"comparison": {"sequential": {"first_look": 2, "batch": 1, "max_seeds": SEEDS}}},
}


@dataclass(frozen=True)
class Sample:
    """The orchestrator at one moment."""

    time: float
    memory_mb: float
    cpu_seconds: float


def document(design: str, steps: int) -> dict[str, object]:
    """The experiment file of a design."""
    arm = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": steps}
    return {
        "experiment_id": design,
        "hypothesis": "an orchestrator needs little",
        "baseline_config": arm,
        "variant_config": {"extends": "baseline", "hyperparameters": {"learning_rate": 0.001}},
        "evaluation": {"frequency": 4_096, "episodes": 5, "final_episodes": 10},
        **DESIGNS[design],
    }


def watch(design: str, steps: int, folder: Path) -> list[Sample]:
    """Carry an experiment out, and sample its orchestrator until it ends."""
    file = folder / f"{design}.json"
    file.write_text(json.dumps(document(design, steps)))
    command = [sys.executable, "-m", "src.experiments.runner", "--config", str(file)]
    command += ["--output-dir", str(folder), "--mode", "parallel", "--max-workers", str(2 * SEEDS)]
    samples: list[Sample] = []
    with (folder / f"{design}.txt").open("wb") as output:
        process = psutil.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        while process.poll() is None:
            try:
                used, memory = process.cpu_times(), process.memory_info()
            except psutil.Error:
                break
            own = used.user + used.system
            samples.append(Sample(time.time(), memory.rss / 2**20, own))
            time.sleep(1 / SAMPLES_EACH_SECOND)
        code = process.wait()
    if code:
        sys.exit(f"{design}: exit code {code}\n{(folder / f'{design}.txt').read_text()[-3000:]}")
    return samples


def training_seconds(root: Path) -> tuple[float, float]:
    """When the first run's process started and when the last one ended, by the runs' events."""
    told = [
        json.loads(line)
        for events in root.glob("runs/*/events.jsonl")
        for line in events.read_text().splitlines()
    ]
    starts = [each["time"] for each in told if each["kind"] == "attempt_started"]
    ends = [each["time"] for each in told if each["kind"] == "attempt_ended"]
    return min(starts), max(ends)


def print_design(samples: list[Sample], root: Path) -> bool:
    """Print what an orchestrator took; whether it was light."""
    started, ended = training_seconds(root)
    before = [each for each in samples if each.time < started]
    during = [each for each in samples if started <= each.time <= ended]
    after = [each for each in samples if each.time > ended]
    for words, part in (("before the runs", before), ("while runs train", during)):
        print(f"  {words}: at most {max(each.memory_mb for each in part):.1f} MiB")
    if after:
        print(f"  afterwards: at most {max(each.memory_mb for each in after):.1f} MiB")
    highest = max(each.memory_mb for each in (*before, *during))
    core = (during[-1].cpu_seconds - during[0].cpu_seconds) / (during[-1].time - during[0].time)
    is_small, is_idle = highest <= TARGET_MB, core <= TARGET_CORE
    print(f"  to the last run's end {highest:.1f} MiB, at most {TARGET_MB:.0f}: {told(is_small)}")
    seconds = during[-1].time - during[0].time
    print(f"  {core:.2%} of a core in {seconds:.0f} s, at most {TARGET_CORE:.0%}: {told(is_idle)}")
    return is_small and is_idle


def told(is_met: bool) -> str:
    return "met" if is_met else "NOT met"


def derive(records: int, folder: Path) -> float:
    """Store and report of one run's journal, in this process; its peak memory in MiB."""
    sys.path.insert(0, str(ROOT))
    from src.experiments.domain.records import ExecutionMode
    from src.experiments.experiment import Experiment
    from src.experiments.outputs.derived import Conditions, report_content, write_store

    arm = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": records}
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 0.001}}
    experiment = Experiment(
        arm, variant, "a journal may be long", output_dir=folder, seeds=1, experiment_id="long"
    )
    experiment.begin()
    journal = experiment.paths.run(experiment.runs()[0]).journal
    journal.parent.mkdir(parents=True)
    with journal.open("w") as file:
        for step in range(records):
            metrics = {"rollouts/returns_mean": step % 977 / 7, "steps/loss": 1.0 / (step + 1)}
            record = {"kind": "metrics", "step": step, "metrics": metrics, "time": 1e9 + step}
            file.write(json.dumps(record) + "\n")
    conditions = Conditions(ExecutionMode.SEQUENTIAL, 1.0)
    write_store(experiment, conditions)
    report_content(experiment, conditions)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def peak_of(records: int, folder: Path) -> float:
    """`derive` in a fresh process."""
    command = [sys.executable, __file__, "--derive", str(records), "--folder", str(folder)]
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{records} records: {done.stderr or done.stdout}")
    return float(done.stdout.splitlines()[-1])


def print_journals(records: int) -> bool:
    """Print what reading a long journal takes; whether it is bounded."""
    peaks = {}
    for count in (SHORT, records):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            started = time.perf_counter()
            peaks[count] = peak_of(count, Path(folder))
            tell(f"{count:,} records: {time.perf_counter() - started:.0f} s")
        print(f"store and report of {count:,} records: peak {peaks[count]:.1f} MiB")
    grown = peaks[records] - peaks[SHORT]
    is_bounded = grown <= TARGET_GROWTH_MB
    print(f"  {grown:+.1f} MiB, at most {TARGET_GROWTH_MB:.0f}: {told(is_bounded)}")
    return is_bounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40_960, help="of each run")
    parser.add_argument("--designs", nargs="+", choices=list(DESIGNS), default=list(DESIGNS))
    parser.add_argument("--records", type=int, help="read a journal of so many, and train nothing")
    parser.add_argument("--derive", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.derive:
        print(derive(options.derive, options.folder))
        return
    if options.records:
        sys.exit(0 if print_journals(options.records) else 1)
    print(machine())
    verdicts = []
    for design in options.designs:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            samples = watch(design, options.steps, Path(folder))
            print(f"{design} design, {2 * SEEDS} runs of {options.steps:,} steps:")
            verdicts.append(print_design(samples, Path(folder) / design))
    sys.exit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    main()
