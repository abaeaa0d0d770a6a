"""The experiment trained again, by the code of a place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Self

from ..domain.errors import TrainingError, UsageError
from ..domain.paths import ExperimentPaths
from ..verification.audience import Audience
from ..verification.runner_process import RunnerProcess, die_with_parent
from .places import Place

POLL_SECONDS = 0.02
_REFUSED = UsageError.exit_code


@dataclass(frozen=True)
class Onlooker(Audience):
    """An audience that also watches the runs."""

    watching: Callable[[ExperimentPaths], AbstractContextManager[object]] = nullcontext
    """Entered once the experiment's file is there, left when its runner has ended."""


class PlacedRunner(RunnerProcess):
    """The runner of another place's code.

    Args:
        place: where it is.
        arguments: of the runner.
        output: the file that takes what it prints.
        environment: its variables, besides those of the place.
    """

    def __init__(
        self,
        place: Place,
        arguments: Sequence[str],
        output: Path,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(arguments, output)
        self.command = (sys.executable, "-m", place.runner, *arguments)
        self._directory = place.directory
        self._environment = place.environment(environment)

    def __enter__(self) -> Self:
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our own module
                self.command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self


def train_again(runner: PlacedRunner, paths: ExperimentPaths, onlooker: Onlooker) -> None:
    """Carry the runner to its end; runs that fail are for the comparison to tell.

    Raises:
        UsageError: when it refuses the experiment.
        TrainingError: when it leaves no results.
    """
    onlooker.started(runner.command)
    with ExitStack() as watching, runner:
        is_watched = False
        while runner.exit_code is None:
            if not is_watched and paths.experiment.is_file():
                watching.enter_context(onlooker.watching(paths))
                is_watched = True
            onlooker.poll()
            sleep(POLL_SECONDS)
    if runner.exit_code == _REFUSED:
        raise UsageError(f"the code refuses the experiment:\n{runner.last_lines}")
    if not paths.results.is_file():
        raise TrainingError(
            f"it ended with exit code {runner.exit_code}:\n{runner.last_lines}",
            where=str(runner.output),
        )
