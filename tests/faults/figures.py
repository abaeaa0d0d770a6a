"""Rows of the table of faults: how each is tried, how often, and what came of it."""

import math
import random
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .command import end_commands
from .pair import ALGORITHMS, SMALL_STEPS, Pair, document, small_document
from .promises import Undisturbed
from .warm import WarmPool

HALF_STEPS, ENDLESS_STEPS = 3000, 1_000_000
"""Of what is killed half-way: those that are continued to the end, and those that never are."""


@dataclass(frozen=True)
class Trial:
    """A check that raises when a promise was broken."""

    check: Callable[[Path], None]
    """Called with a folder of its own."""
    faults: int = 1
    """That it tries."""


class Bench:
    """What all trials share: a folder, undisturbed experiments, the worst that was seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()
        self.warm = WarmPool()
        """Commands without their seconds of imports."""
        self.worst: dict[str, float] = {}
        self.late: list[str] = []
        self._lock = threading.Lock()
        self._numbers = iter(range(10**9))
        self._made: dict[str, Any] = {}
        self._making = threading.RLock()

    def __enter__(self) -> "Bench":
        self._open.enter_context(self.warm)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def undisturbed(self, algorithm: str = "PPO") -> Undisturbed:
        """The pair of an algorithm, trained without a fault; once for all rows."""
        pair = partial(Pair, self.folder / f"undisturbed-{algorithm}", document(algorithm))
        return self.once(f"pair {algorithm}", lambda: Undisturbed.by_training(pair()))

    def small_undisturbed(self, algorithm: str, steps: int = SMALL_STEPS) -> Undisturbed:
        """The small pair of an algorithm, trained in the command's own process."""
        folder, content = f"small-{algorithm}-{steps}", small_document(algorithm, steps)
        pair = partial(Pair, self.folder / folder, content)
        return self.once(folder, lambda: Undisturbed.by_training(pair(), self.warm.finish))

    def half_trained(
        self, algorithm: str, folder: Path, steps: int = HALF_STEPS, run: str = "variant_seed0"
    ) -> Pair:
        """A copy of a small pair of so many steps that was killed while a run trained."""
        made = self.once(
            f"half {algorithm} {steps}", partial(self._half_train, algorithm, steps, run)
        )
        shutil.copytree(made, folder, dirs_exist_ok=True)
        return Pair(folder, small_document(algorithm, steps))

    def _half_train(self, algorithm: str, steps: int, run: str) -> Path:
        folder = self.folder / f"half-{algorithm}-{steps}"
        pair = Pair(folder, small_document(algorithm, steps))
        command = pair.start()
        pair.wait_for_checkpoints(3, run)
        command.kill()
        command.kill_everything()
        assert not (pair.root / "runs" / run / "result.json").exists()
        return folder

    def once(self, what: str, make: Callable[[], Any]) -> Any:
        """What is made when it is first asked for."""
        with self._making:
            if what not in self._made:
                self._made[what] = make()
            return self._made[what]

    def new_folder(self) -> Path:
        """A folder that no other trial has."""
        with self._lock:
            folder = self.folder / f"trial-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder

    def saw(self, what: str, value: float, most: float = math.inf) -> None:
        """Remember the worst value of something, and where it was more than is promised."""
        with self._lock:
            self.worst[what] = max(value, self.worst.get(what, value))
            if value > most:
                self.late.append(f"{value:.3g} {what}, promised are at most {most:g}")


@dataclass(frozen=True)
class Row:
    """A fault of the table.

    `trials` makes the trials of a number of faults; None where what they need is not there yet.
    """

    name: str
    fault: str
    full: int
    reduced: int
    trials: Callable[[Bench, int], Iterable[Trial]] | None
    note: str = ""
    """What the count covers."""
    why_not: Callable[[], str | None] = lambda: None
    """Why it cannot be tried on this machine."""
    is_shared: bool = True
    """Whether two trials at once do not disturb each other."""


@dataclass
class Figures:
    """What came of a row."""

    tried: int = 0
    passed: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    worst: dict[str, float] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    """What took longer than is promised of a machine that does nothing else."""


def carry_out(row: Row, count: int, bench: Bench, *, at_once: int = 1) -> Figures:
    """Try a row's faults so many times; the folder of a trial that failed is kept."""
    assert row.trials is not None
    figures, began = Figures(), time.monotonic()
    bench.worst, bench.late = figures.worst, figures.late
    with ThreadPoolExecutor(at_once if row.is_shared else 1) as pool:
        trials = list(row.trials(bench, count))
        outcomes = pool.map(lambda trial: _attempt(trial, bench.new_folder()), trials)
        for trial, failure in zip(trials, outcomes, strict=True):
            figures.tried += trial.faults
            figures.passed += 0 if failure else trial.faults
            figures.failures += [failure] if failure else []
    figures.seconds = time.monotonic() - began
    return figures


def _attempt(trial: Trial, folder: Path) -> str | None:
    """What went wrong; None where nothing did."""
    try:
        trial.check(folder)
    except Exception:  # noqa: BLE001 - whatever it is, the other trials go on
        return f"{folder}: {traceback.format_exc()}"
    finally:
        end_commands(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def generator(row: str, number: int) -> random.Random:
    """The random numbers of one trial, the same in each run of the row."""
    return random.Random(f"{row} {number}")


def algorithm_of(number: int) -> str:
    """The algorithms in turn."""
    return list(ALGORITHMS)[number % len(ALGORITHMS)]


def new_pair(folder: Path, algorithm: str) -> Pair:
    """A pair that has not begun, beside those that a trial has had already."""
    number = sum(1 for _ in folder.iterdir())
    return Pair(folder / f"pair-{number}", document(algorithm))


def shares(count: int, most: int) -> list[int]:
    """A count in parts of at most so many."""
    return [min(most, count - start) for start in range(0, count, most)]
