"""Where everything lies: the only place that names a file of an experiment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError
from .records import RunKey

DEFAULT_OUTPUT_DIR = Path("results/experiments")
_ATTEMPT = re.compile(r"attempt-([1-9][0-9]*)")
EXPERIMENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def models_made_here() -> Path:
    """Where tiny language models are kept, once for all experiments of a user.

    Raises:
        UsageError: when there is no home to keep them in.
    """
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise UsageError(
            "there is no home directory to keep the tiny model in",
            remedy="set XDG_CACHE_HOME to a folder that can be written",
        ) from error
    return Path(cache) / "rl-experiments" / "models"


def check_experiment_id(experiment_id: str) -> str:
    """Return the id if it is a safe directory name, else raise `UsageError`."""
    if not EXPERIMENT_ID.fullmatch(experiment_id):
        raise UsageError(
            f"experiment id {ascii(experiment_id)[:200]} is not allowed",
            remedy="use 1 to 64 letters, digits, '.', '_', '-', a letter or digit first",
        )
    return experiment_id


@dataclass(frozen=True)
class RunPaths:
    """The files of one run, under ``runs/{arm}_seed{seed}/``."""

    root: Path

    @property
    def journal(self) -> Path:
        """Written by the training process alone."""
        return self.root / "journal.jsonl"

    @property
    def events(self) -> Path:
        """Written by the orchestrator alone."""
        return self.root / "events.jsonl"

    @property
    def result(self) -> Path:
        """What the run came to, written by the orchestrator when it is recorded."""
        return self.root / "result.json"

    @property
    def lock(self) -> Path:
        """Held by the attempt that trains."""
        return self.root / ".lock"

    @property
    def experiment(self) -> ExperimentPaths:
        """The files of the experiment whose run it is."""
        root = self.root.parent.parent
        return ExperimentPaths(root, root.name)

    def attempt(self, number: int) -> AttemptPaths:
        """The files of one attempt, counted from 1."""
        return AttemptPaths(self.root / f"attempt-{number}")

    def attempts(self) -> list[int]:
        """The numbers of the attempts that have a folder, ascending."""
        found = (_ATTEMPT.fullmatch(path.name) for path in self.root.glob("attempt-*"))
        return sorted(int(match[1]) for match in found if match)


@dataclass(frozen=True)
class AttemptPaths:
    """What one attempt leaves for the orchestrator to adopt."""

    root: Path

    @property
    def model(self) -> Path:
        """The final policy, loadable with plain Stable-Baselines3."""
        return self.root / "model_final.zip"

    @property
    def normalization(self) -> Path:
        """VecNormalize statistics as plain JSON; absent without normalisation."""
        return self.root / "normalization.json"

    @property
    def predictions(self) -> Path:
        """The final evaluation's episodes."""
        return self.root / "predictions.json"

    @property
    def log(self) -> Path:
        """Standard output, standard error and log lines of the training process."""
        return self.root / "training.log"

    @property
    def start(self) -> Path:
        """From which step the attempt went on, written by it once that is sure."""
        return self.root / "start.json"

    @property
    def heartbeat(self) -> Path:
        """Touched while training advances; gone when the attempt has ended by itself."""
        return self.root / "heartbeat"


@dataclass(frozen=True)
class ExperimentPaths:
    """The files of one experiment, under ``{output_dir}/{experiment_id}/``."""

    root: Path
    experiment_id: str

    @classmethod
    def under(cls, output_dir: Path | str, experiment_id: str) -> ExperimentPaths:
        """Paths of an experiment below an output directory."""
        return cls(Path(output_dir) / check_experiment_id(experiment_id), experiment_id)

    def run(self, run: RunKey) -> RunPaths:
        """The files of one run."""
        return RunPaths(self.root / "runs" / run.name)

    def model(self, run: RunKey, *, single_seed: bool) -> Path:
        """The adopted final model of a run."""
        stem = run.arm if single_seed else run.name
        return self.models / f"{stem}_model_final.zip"

    def training_log(self, arm: str) -> Path:
        """The log of all runs of an arm."""
        return self.root / "logs" / f"{arm}_training.log"

    @property
    def experiment(self) -> Path:
        """The saved `Experiment`; a directory is an experiment when it holds this file."""
        return self.root / f"experiment_{self.experiment_id}.json"

    @property
    def lock(self) -> Path:
        """Held by the one orchestrator that works on the experiment."""
        return self.root / ".lock"

    @property
    def events(self) -> Path:
        """What happened to the experiment as a whole: its looks, changes of its design."""
        return self.root / "events.jsonl"

    @property
    def metadata(self) -> Path:
        """Name, times, format version and a table of contents."""
        return self.root / "metadata.json"

    @property
    def results(self) -> Path:
        """Runs, arms and the comparison."""
        return self.root / "results.json"

    @property
    def predictions(self) -> Path:
        """The final evaluations' episodes of all runs."""
        return self.root / "predictions.json"

    @property
    def memory_usage(self) -> Path:
        """Sampled memory of all runs."""
        return self.root / "memory_usage.json"

    @property
    def final_state(self) -> Path:
        """The runner's state when it ended."""
        return self.root / "runner_final_state.yaml"

    @property
    def config(self) -> Path:
        """The full, resolved configuration."""
        return self.root / "config" / "experiment_config.json"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.root / "logs"

    @property
    def experiment_log(self) -> Path:
        """The experiment's main log."""
        return self.logs / "experiment.log"

    @property
    def runner_log(self) -> Path:
        """The runner's log."""
        return self.logs / "runner.log"

    @property
    def text_logs(self) -> Path:
        """Log lines as JSON."""
        return self.logs / "text_logs.json"

    @property
    def models(self) -> Path:
        """Folder of the final models."""
        return self.root / "models"

    @property
    def checkpoints(self) -> Path:
        """Folder of the runner's and the runs' checkpoints."""
        return self.root / "checkpoints"

    def run_checkpoints(self, run: RunKey) -> Path:
        """Folder of one run's checkpoints."""
        return self.checkpoints / run.name

    @property
    def metrics(self) -> Path:
        """Folder of the derived metrics."""
        return self.root / "metrics"

    @property
    def artifacts(self) -> Path:
        """Folder of the artifacts that a tracker uploads."""
        return self.root / "artifacts"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.root / "report"

    @property
    def report_page(self) -> Path:
        """The report that a person reads."""
        return self.report / "index.html"

    @property
    def provenance(self) -> Path:
        """Folder of what is needed to reproduce the experiment."""
        return self.root / "provenance"

    @property
    def model_commits(self) -> Path:
        """Folder of the commits of hubs' models from which all runs train."""
        return self.provenance / "models"

    def model_commit(self, model_id: str) -> Path:
        """The commit of one of them, made by the first run; it has a folder of its own.

        `model_id` is the hub's, in which ``--`` does not occur.
        """
        return self.model_commits / model_id.replace("/", "--") / "commit.json"

    @property
    def tracking(self) -> Path:
        """Folder of what trackers were told."""
        return self.root / "tracking"

    @property
    def ledger(self) -> Path:
        """What was told to which tracker."""
        return self.tracking / "ledger.json"

    @property
    def telling_ends(self) -> Path:
        """Its presence asks the trackers' processes to come to an end; its word says to which."""
        return self.tracking / ".ends"

    def tracker_lock(self, tracker: str) -> Path:
        """Held by the one process that tells a tracker, which touches it as it gets on."""
        return self.tracking / f".{tracker}.lock"

    def tracker_log(self, tracker: str) -> Path:
        """What a tracker's process and its SDK printed."""
        return self.tracking / f"{tracker}.log"

    @property
    def elsewhere(self) -> Path:
        """Where everything is that was uploaded and is not kept here."""
        return self.root / "elsewhere.json"

    @property
    def manifest(self) -> Path:
        """Every file of the experiment with its size and SHA-256."""
        return self.root / "manifest.json"
