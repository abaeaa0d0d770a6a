"""`ExperimentRunner` in five short programs; start them from the project's root.

    python examples/experiment_runner_example.py sequential
    python examples/experiment_runner_example.py parallel
    python examples/experiment_runner_example.py monitoring
    python examples/experiment_runner_example.py recovery
    python examples/experiment_runner_example.py validation

Each asks whether a larger learning rate helps PPO on CartPole. Results go to a temporary folder
that is removed at the end; ``--output-dir results/experiments`` keeps them, report included.

Python puts the folder of a script on its path, here ``examples``; the lines before the imports
add the project's root, so that ``src.experiments`` is found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.experiments.experiment import Experiment
from src.experiments.runner import (
    ExecutionMode,
    ExperimentRunner,
    TrainingResult,
)

SECONDS_BETWEEN_SNAPSHOTS = 0.5


def make_experiment(output_dir: Path, training_steps: int, **settings: Any) -> Experiment:
    """A pair of PPO arms that differ in the learning rate; nothing is written yet."""
    baseline = {
        "algorithm": "PPO",
        "environment": "CartPole-v1",
        "hyperparameters": {"learning_rate": 3e-4, "n_steps": 256, "batch_size": 64},
        "training_steps": training_steps,
        "seed": 42,
    }
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 1e-3}}
    return Experiment(
        baseline_config=baseline | settings.pop("both_arms", {}),
        variant_config=variant,
        hypothesis="A larger learning rate makes PPO learn CartPole faster",
        output_dir=output_dir,
        evaluation={"frequency": 1024, "episodes": 5, "final_episodes": 20},
        **settings,
    )


def sequential(output_dir: Path, training_steps: int) -> bool:
    """Train the baseline, then the variant, and compare them."""
    runner = ExperimentRunner(
        experiment=make_experiment(output_dir, training_steps),
        execution_mode=ExecutionMode.SEQUENTIAL,
        enable_monitoring=True,
    )
    success = runner.run()
    print_results(runner)
    return success


def parallel(output_dir: Path, training_steps: int) -> bool:
    """Train two runs at a time: two seeds of each arm."""
    runner = ExperimentRunner(
        experiment=make_experiment(output_dir, training_steps, seeds=[42, 43]),
        execution_mode=ExecutionMode.PARALLEL,
        max_workers=2,
    )
    success = runner.run()
    print_results(runner)
    return success


def monitoring(output_dir: Path, training_steps: int) -> bool:
    """Look at a running experiment from another thread."""
    runner = ExperimentRunner(experiment=make_experiment(output_dir, training_steps))
    ended = threading.Event()
    watcher = threading.Thread(target=print_progress, args=(runner, ended))
    watcher.start()
    try:
        success = runner.run()
    finally:
        ended.set()
        watcher.join()
    print_results(runner)
    return success


def print_progress(runner: ExperimentRunner, ended: threading.Event) -> None:
    """Print a line now and then, until the experiment has ended."""
    while not ended.wait(SECONDS_BETWEEN_SNAPSHOTS):
        progress = runner.monitor_progress()
        resources = runner.get_status()["resource_usage"]
        left = progress.estimated_time_remaining
        print(
            f"{progress.current_phase:<16}"
            f"  baseline {progress.baseline_progress:5.1f} %"
            f"  variant {progress.variant_progress:5.1f} %"
            f"  CPU {resources['cpu_percent']:5.1f} %"
            f"  memory {resources['memory_mb']:.0f} MB"
            + ("" if left is None else f"  {left:.0f} s left")
        )


class PatientRunner(ExperimentRunner):
    """Tries again with what the failure suggests, and stops at everything else."""

    def handle_failure(
        self,
        error: Exception,
        config_type: str | None = None,
        recovery_strategy: str = "abort",
    ) -> bool:
        """Decide what becomes of a failed run."""
        print(f"{config_type} failed: {error}")
        if isinstance(error, MemoryError):
            return self._retry_with_smaller_batch(config_type)
        if isinstance(error, TimeoutError):
            return self._retry_with_longer_timeout(config_type)
        return super().handle_failure(error, config_type, recovery_strategy)


def recovery(output_dir: Path, training_steps: int) -> bool:
    """Survive an environment that fails once; the run that tried again says so."""
    with tempfile.TemporaryDirectory() as memory:
        unreliable = {
            "environment": "UnreliableCartPole-v0",
            "environment_kwargs": {"failed_before": f"{memory}/failed_before"},
        }
        experiment = make_experiment(
            output_dir,
            training_steps,
            both_arms=unreliable,
            environment_modules=["examples.unreliable_cartpole"],
        )
        runner = PatientRunner(experiment)
        success = runner.run()
    print_results(runner)
    return success


def validation(output_dir: Path, training_steps: int) -> bool:
    """Build both trainers and train a handful of steps; nothing is left on disk."""
    runner = ExperimentRunner(
        experiment=make_experiment(output_dir, training_steps),
        execution_mode=ExecutionMode.VALIDATION,
    )
    is_valid = runner.run()
    for estimate in runner.estimates:
        print(
            f"{estimate.run.arm}: {estimate.planned_timesteps} steps,"
            f" about {estimate.training_seconds:.0f} s and {estimate.memory_mb:.0f} MB"
        )
    print("both arms can be trained" if is_valid else "\n".join(runner.failures))
    return is_valid


def print_results(runner: ExperimentRunner) -> None:
    """Print both arms, the verdict, and where everything lies."""
    for arm, result in (("baseline", runner.baseline_result), ("variant", runner.variant_result)):
        if result is not None:
            print(f"{arm}: {in_words(result)}")
    if runner.comparison is not None:
        print(f"{runner.comparison.verdict.value}: {runner.comparison.sentence}")
    print(f"report: {runner.experiment.paths.report_page}")


def in_words(result: TrainingResult) -> str:
    """An arm's final evaluation, and what was changed on the way there."""
    if result.final_mean_reward is None:
        return f"failed: {result.error}"
    text = f"{result.final_mean_reward:.2f} after {result.total_timesteps} steps"
    return f"{text}; {'; '.join(result.deviations)}" if result.deviations else text


PROGRAMS: dict[str, Callable[[Path, int], bool]] = {
    program.__name__: program
    for program in (sequential, parallel, monitoring, recovery, validation)
}


def main() -> int:
    """Run the program that the command line names."""
    parser = argparse.ArgumentParser(description="ExperimentRunner in five short programs.")
    parser.add_argument("program", choices=PROGRAMS, nargs="?", default="sequential")
    parser.add_argument("--output-dir", type=Path, help="keep the results here")
    parser.add_argument("--steps", type=int, default=8192, help="training steps of a run")
    arguments = parser.parse_args()
    program = PROGRAMS[arguments.program]
    if arguments.output_dir is not None:
        return 0 if program(arguments.output_dir, arguments.steps) else 1
    with tempfile.TemporaryDirectory() as scratch:
        return 0 if program(Path(scratch), arguments.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
