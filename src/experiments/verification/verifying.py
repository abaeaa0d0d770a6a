"""Train undisturbed, train again under kills, compare: from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shutil import copytree
from time import monotonic, sleep

import numpy as np

from ..config import ExperimentConfig
from ..domain.errors import TrainingError, UsageError
from ..domain.paths import ExperimentPaths
from ..domain.records import RunKey, RunStatus
from ..durability.files import make_directory, read_json, write_json
from ..experiment import Experiment
from .audience import Audience
from .comparing import ArmCheck, compare, result_of
from .kills import CheckpointWatch, Kill, drawn, newest_step
from .pair import EXPERIMENT_ID, ShortPair, shortened_pair
from .runner_process import RunnerProcess

FEWEST_CHECKPOINTS = 3
FAILED = (RunStatus.FAILED, RunStatus.SKIPPED)
POLL_SECONDS = 0.005
MOST_LENGTHENINGS = 5
MOST_ROUNDS = 3
"""How often the pair is trained under kills until each run has really gone on."""

Moments = Mapping[RunKey, Mapping[int, float]]


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    config: ExperimentConfig
    folder: Path
    """Where everything happens; it exists."""
    kills: int = 2
    """How often each arm is killed."""
    steps: int | None = None
    """Timesteps to train; None takes just enough."""


@dataclass(frozen=True)
class Verification:
    """What came of it."""

    pair: ShortPair
    checks: tuple[ArmCheck, ...]

    @property
    def is_exact(self) -> bool:
        """Whether killing and continuing changed nothing in either arm."""
        return all(check.is_exact for check in self.checks)


def verify(plan: Plan, audience: Audience) -> Verification:
    """Train a short copy of an experiment twice, once under kills, and compare.

    Raises:
        ConfigurationError: when it cannot be shortened.
        UsageError: when so few steps leave no room for the kills.
        TrainingError: when it fails, or the kills cannot be made to fall inside training.
    """
    return _Trial(plan, audience).verification()


class _Trial:
    """One verification; it leaves files in the plan's folder, and no process."""

    def __init__(self, plan: Plan, audience: Audience) -> None:
        self._plan = plan
        self._audience = audience
        self._pair = shortened_pair(plan.config, plan.kills, plan.steps)
        self._commands = 0
        # the same file meets the same kills again
        self._rng = np.random.default_rng(plan.config.seed_list[0])

    def verification(self) -> Verification:
        undisturbed, moments = self._train_undisturbed()
        continued = self._train_under_kills(undisturbed, moments)
        self._audience.doing("comparing")
        checks = tuple(compare(undisturbed, continued, run) for run in self._pair.runs)
        return Verification(self._pair, checks)

    # ---- undisturbed

    def _train_undisturbed(self) -> tuple[ExperimentPaths, Moments]:
        """Where it lies, and when each run's checkpoints appeared; longer where these are few."""
        needed = max(FEWEST_CHECKPOINTS, self._plan.kills + 1)
        for number in range(1, MOST_LENGTHENINGS + 1):
            self._audience.prepared(self._pair)
            self._audience.doing("training undisturbed")
            paths = self._paths(f"undisturbed-{number}")
            began = monotonic()
            moments = self._watched(paths)
            fewest = min(map(len, moments.values()))
            if fewest >= needed:
                seconds = monotonic() - began
                self._audience.tell(f"trained undisturbed, in {seconds:.1f} s")
                return paths, moments
            self._lengthen(fewest, needed)
        raise TrainingError(
            f"{self._pair.steps:,} steps have fewer than {needed} checkpoints",
            remedy="give more with --steps, or fewer --kills",
        )

    def _lengthen(self, fewest: int, needed: int) -> None:
        """Where an episode or a population is a rollout, only a try shows how long these are."""
        steps, kills = self._pair.steps, self._plan.kills
        if self._plan.steps is not None:
            raise UsageError(
                f"--steps {steps}: an arm has {fewest} checkpoints, and {needed} are needed",
                remedy="give more --steps, or fewer --kills",
            )
        self._audience.tell(f"{steps:,} steps had too few checkpoints; twice as many are trained")
        self._pair = shortened_pair(self._plan.config, kills, 2 * steps)

    def _watched(self, paths: ExperimentPaths) -> Moments:
        watches = {run: CheckpointWatch(paths.run_checkpoints(run)) for run in self._pair.runs}
        with self._runner(paths) as runner:
            while runner.exit_code is None:
                self._pause()
                for watch in watches.values():
                    watch.poll()
            _check_success(runner, paths)
        return {run: watch.seen for run, watch in watches.items()}

    # ---- under kills

    def _train_under_kills(self, undisturbed: ExperimentPaths, moments: Moments) -> ExperimentPaths:
        """Where a pair lies of which each run has really gone on from a checkpoint."""
        for number in range(1, MOST_ROUNDS + 1):
            paths = self._begun_like(undisturbed, f"killed-{number}")
            self._kill_and_continue(paths, drawn(moments, self._plan.kills, self._rng))
            missed = [
                run.name
                for run in self._pair.runs
                if not result_of(paths, run).get("resumed_from_steps")
            ]
            if not missed:
                return paths
            self._audience.tell(
                f"no kill fell inside the training of {', '.join(missed)}; trying again"
            )
        raise TrainingError(
            f"{MOST_ROUNDS} times no kill fell inside the training of {', '.join(missed)}",
            remedy="give more --steps",
        )

    def _kill_and_continue(self, paths: ExperimentPaths, kills: Sequence[Kill]) -> None:
        left = list(kills)
        is_new = True
        while self._train_until_killed(paths, left, is_new=is_new):
            is_new = False

    def _train_until_killed(
        self, paths: ExperimentPaths, left: list[Kill], *, is_new: bool
    ) -> bool:
        """Take kills from those that are left until one falls; False where training ended."""
        begun = {run: _begun(paths, run) for run in self._pair.runs}
        doing = "training the same again" if is_new else "continuing"
        self._audience.doing(f"{doing}; {len(left)} kills are to come")
        with self._runner(paths) as runner:
            while left:
                kill = left.pop(0)
                if self._comes_to(kill, runner, paths, begun[kill.run]):
                    runner.kill()
                    newest = newest_step(paths.run_checkpoints(kill.run))
                    told = f"its newest checkpoint is of step {newest:,}"
                    self._audience.tell(f"killed in {kill.run.name}; {told}")
                    return True
            while runner.exit_code is None:
                self._pause()
            _check_success(runner, paths)
        return False

    def _comes_to(
        self, kill: Kill, runner: RunnerProcess, paths: ExperimentPaths, begun: int
    ) -> bool:
        """Wait for the instant of a kill; False where the run was complete before it.

        `begun` attempts of the run had begun before this runner.
        """
        folder, result = paths.run_checkpoints(kill.run), paths.run(kill.run).result
        due, first = math.inf, 0
        while runner.exit_code is None and not result.is_file():
            newest = newest_step(folder)
            is_late = due < math.inf and newest >= max(kill.latest_step, first + 1)
            if is_late or monotonic() >= due:
                return True
            if due == math.inf and newest >= kill.step and _begun(paths, kill.run) > begun:
                due, first = monotonic() + kill.delay_seconds, newest
            self._pause()
        return False

    # ---- the command line

    def _paths(self, name: str) -> ExperimentPaths:
        """A folder for the pair's results."""
        return ExperimentPaths.under(make_directory(self._plan.folder / name), EXPERIMENT_ID)

    def _begun_like(self, undisturbed: ExperimentPaths, name: str) -> ExperimentPaths:
        """The pair as an experiment in which nothing has happened yet, from the same models.

        A hub's may have moved on meanwhile, and what is told is to be about kills alone.
        """
        paths = self._paths(name)
        Experiment.from_config(self._pair.config, paths.root.parent).publish()
        if undisturbed.model_commits.is_dir():
            copytree(undisturbed.model_commits, paths.model_commits)
        return paths

    def _runner(self, paths: ExperimentPaths) -> RunnerProcess:
        which = ["--experiment-id", EXPERIMENT_ID]
        if not paths.experiment.is_file():
            write_json(self._file, self._pair.document)
            which = ["--config", str(self._file)]
        modules = (("--allow-env-module", each) for each in self._pair.config.environment_modules)
        where = ["--output-dir", str(paths.root.parent)]
        self._commands += 1
        output = self._plan.folder / f"output-{self._commands}.txt"
        runner = RunnerProcess([*which, *where, *chain.from_iterable(modules)], output)
        self._audience.started(runner.command)
        return runner

    @property
    def _file(self) -> Path:
        return self._plan.folder / "experiment.json"

    def _pause(self) -> None:
        self._audience.poll()
        sleep(POLL_SECONDS)


def _begun(paths: ExperimentPaths, run: RunKey) -> int:
    files = paths.run(run)
    return sum(files.attempt(number).start.is_file() for number in files.attempts())


def _check_success(runner: RunnerProcess, paths: ExperimentPaths) -> None:
    """Refuse to go on where the runner failed, with what its runs say of that."""
    code = runner.exit_code
    if not code:
        return
    told = [
        f"{run['arm']}: {run['error']}"
        for run in (read_json(paths.results)["runs"] if paths.results.is_file() else ())
        if run.get("status") in FAILED
    ]
    cause = "\n".join(told) or runner.last_lines
    raise TrainingError(
        f"the short copy ended with exit code {code}:\n{cause}", where=str(runner.output)
    )
