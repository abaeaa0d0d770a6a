"""Ray Tune with a function trainable: the runs of `bare_sb3.py`, one CPU a trial, two CPUs.

Writes the same JSON file, without the seconds of the imports.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ray
from bare_sb3 import train
from ray import tune

CPUS = 2


def trial(config: dict[str, Any]) -> None:
    """One run; Ray calls it in a process of its own."""
    tune.report(train(config["learning_rate"], config["seed"], config["steps"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learning-rates", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    ray.init("local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={
            "learning_rate": tune.grid_search(options.learning_rates),
            "seed": tune.grid_search(options.seeds),
            "steps": options.steps,
        },
        run_config=tune.RunConfig(storage_path=str(options.report.parent / "tune"), verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    runs = {
        f"{result.config['learning_rate']:g}, seed {result.config['seed']}": {
            name: result.metrics[name] for name in ("training_seconds", "sha256")
        }
        for result in results
    }
    options.report.write_text(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()
