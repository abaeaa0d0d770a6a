"""The experiments that faults are tried on, and the commands that train them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from src.experiments.durability.journal import read_journal
from tests.waiting import wait_until

from .command import Command, Done

RUNNER = "src.experiments.runner"
FAULT_ENVIRONMENTS = ("tests.faults.broken_environments", "tests.faults.greedy_environments")
ROLLOUT, CHECKPOINT_EVERY = 64, 256
SMALL_STEPS = 512

ALGORITHMS = {
    "PPO": {
        "hyperparameters": {"n_steps": ROLLOUT, "batch_size": 64, "n_epochs": 2},
        "training_steps": 3000,
    },
    "DQN": {
        "hyperparameters": {"buffer_size": 1500, "learning_starts": 100, "batch_size": 16},
        "training_steps": 3600,
    },
}
"""A pair of each trains for some two seconds and saves a checkpoint every tenth of one."""


def document(algorithm: str = "PPO", **settings) -> dict:
    """An experiment file: two arms that differ in the learning rate.

    Settings are its top-level keys; those of `baseline` go into the baseline's configuration.
    """
    baseline = {
        "algorithm": algorithm,
        "environment": "CartPole-v1",
        **ALGORITHMS[algorithm],
        **settings.pop("baseline", {}),
    }
    variant = {"extends": "baseline", "hyperparameters": {"learning_rate": 2e-3}}
    return {
        "experiment_id": "pair",
        "hypothesis": "what is killed comes back",
        "baseline_config": baseline,
        "variant_config": {**variant, **settings.pop("variant", {})},
        "evaluation": {"frequency": 1000, "episodes": 1, "final_episodes": 1},
        "checkpoint": {"frequency": CHECKPOINT_EVERY, "keep": 3},
        **settings,
    }


def small_document(algorithm: str = "PPO", steps: int = SMALL_STEPS) -> dict:
    """A pair whose arms train for a quarter of a second and save three checkpoints each."""
    return document(
        algorithm,
        baseline={"training_steps": steps},
        evaluation={"frequency": 256, "episodes": 1, "final_episodes": 1},
        checkpoint={"frequency": 128, "keep": 3},
    )


class Pair:
    """One experiment in a folder, and the commands that start it and go on with it.

    Args:
        folder: where the experiment file, the outputs and the results lie.
        content: the experiment file; by default a pair of PPO.
        prefix: words before each command, such as a tracer.
        environment: variables for each command.
    """

    def __init__(
        self,
        folder: Path,
        content: dict | None = None,
        *,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.content = content or document()
        self.id = self.content["experiment_id"]
        self.prefix = prefix
        self.environment = environment
        self.results_folder = folder
        """As the commands see it."""
        self.root = folder / self.id
        self._commands = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / f"{self.id}.json"
        self.config.write_text(json.dumps(self.content))

    # ---- commands

    def words(self, *options: str) -> list[str]:
        """What follows the module's name: start it, or go on with it where it exists."""
        if not self.exists:
            return self.start_words(*options)
        return ["--experiment-id", self.id, *self._always, *options]

    def start_words(self, *options: str) -> list[str]:
        """What follows the module's name to start from the experiment file."""
        return ["--config", str(self.config), *self._always, *options]

    @property
    def _always(self) -> list[str]:
        needs_modules = "CartPole-v0" in json.dumps(self.content)
        modules = [word for name in FAULT_ENVIRONMENTS for word in ("--allow-env-module", name)]
        output = ["--output-dir", str(self.results_folder)]
        return [*modules, *output] if needs_modules else output

    def start(self, *options: str, words: Sequence[str] | None = None) -> Command:
        """Begin a command; `words` replaces what follows the module's name."""
        given = self.words(*options) if words is None else words
        command = [*self.prefix, sys.executable, "-m", RUNNER, *given]
        return Command(command, self.next_stem(), self.environment)

    def finish(self, *options: str) -> Done:
        """Begin a command and wait for its end."""
        return self.start(*options).done()

    def next_stem(self) -> Path:
        """Of the files that hold the next command's output."""
        self._commands += 1
        return self.folder / f"command-{self._commands}"

    # ---- what it leaves

    @property
    def exists(self) -> bool:
        return (self.root / f"experiment_{self.id}.json").exists()

    def times_begun(self) -> int:
        """How many commands have had the experiment for themselves so far."""
        log = self.root / "logs" / "runner.log"
        return log.read_text().count(" begins in ") if log.exists() else 0

    def runs(self) -> list[str]:
        """The runs that have begun."""
        return sorted(path.name for path in (self.root / "runs").glob("*"))

    def journal(self, run: str = "baseline_seed0") -> list[dict]:
        return read_journal(self.root / "runs" / run / "journal.jsonl")

    def events(self, run: str = "baseline_seed0") -> list[dict]:
        return read_journal(self.root / "runs" / run / "events.jsonl")

    def ends(self, run: str = "baseline_seed0") -> list[tuple[str, str]]:
        """How the attempts ended that failed, and why."""
        ended = [event for event in self.events(run) if event["kind"] == "attempt_ended"]
        return [(event["ended_by"], event["cause"]) for event in ended if "ended_by" in event]

    def checkpoints(self, run: str = "baseline_seed0") -> dict[int, Path]:
        """The run's checkpoints by their step, oldest first."""
        folder = self.root / "checkpoints" / run
        found = {
            int(path.stem.rpartition("_")[2]): path for path in folder.glob("checkpoint_*.pkl")
        }
        return dict(sorted(found.items()))

    def start_steps(self, run: str = "baseline_seed0") -> dict[int, int]:
        """From which step each attempt went on that has begun, by its number."""
        found = {}
        for path in (self.root / "runs" / run).glob("attempt-*/start.json"):
            found[int(path.parent.name.rpartition("-")[2])] = json.loads(path.read_text())["step"]
        return dict(sorted(found.items()))

    def experiment(self) -> dict:
        """The saved experiment."""
        return json.loads((self.root / f"experiment_{self.id}.json").read_text())

    def results(self) -> dict:
        return json.loads((self.root / "results.json").read_text())

    def run_results(self) -> dict[str, dict]:
        """Each arm's only run."""
        return {run["arm"]: run for run in self.results()["runs"]}

    def shas(self) -> list[str]:
        return [run["parameters_sha256"] for run in self.results()["runs"]]

    # ---- waiting for a moment

    def worker(self, run: str = "baseline_seed0", attempt: int = 1) -> int:
        """The process that trains an attempt, once its journal has grown."""
        found: list[int] = []

        def trains() -> bool:
            found[:] = [
                event["pid"]
                for event in self.events(run)
                if event["kind"] == "attempt_started" and event["attempt"] == attempt
            ]
            return bool(found) and any(record["step"] for record in self.journal(run))

        wait_until(trains, f"{run} trains")
        return found[-1]

    def wait_for_checkpoints(self, count: int, run: str = "baseline_seed0") -> None:
        """Wait until a run has so many checkpoints."""
        wait_until(lambda: len(self.checkpoints(run)) >= count, f"{count} checkpoints")
