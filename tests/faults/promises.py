"""What must hold after a fault: nothing lost, little done again, the same bits, whole files."""

import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from src.experiments.durability.journal import read_journal, without_wall_clock
from tests.checkpoint_bytes import unpack

from .command import Done
from .pair import CHECKPOINT_EVERY, ROLLOUT, Pair


@dataclass(frozen=True)
class Undisturbed:
    """An experiment that was trained without a fault, and what it came to."""

    shas: list[str]
    journals: dict[str, list[dict]]
    """By run, without the wall clock."""
    seconds: float
    """That the command took."""

    @classmethod
    def by_training(cls, pair: Pair, finish: Callable[[Pair], Done] = Pair.finish) -> "Undisturbed":
        """Train a pair and remember what it came to."""
        began = time.monotonic()
        done = finish(pair)
        assert done.code == 0, done.stderr
        journals = {run: _timeless_journal(pair, run) for run in pair.runs()}
        return cls(pair.shas(), journals, time.monotonic() - began)

    def check_same(self, pair: Pair, done: Done) -> None:
        """An experiment that went through faults ended as this one did."""
        assert done.code == 0, f"exit {done.code}: {done.stderr}"
        assert pair.shas() == self.shas
        assert [run["resume"] for run in pair.results()["runs"]] == ["exact"] * len(self.shas)
        for run, expected in self.journals.items():
            self.check_journal(pair, run, expected)
        check_files_are_whole(pair.root)

    def check_journal(self, pair: Pair, run: str, expected: list[dict] | None = None) -> None:
        """A run's journal is the undisturbed one, and no metric step is told twice."""
        steps = [record["step"] for record in pair.journal(run) if record["kind"] == "metrics"]
        assert steps == sorted(set(steps)), f"{run}: a step is told twice: {steps}"
        assert _timeless_journal(pair, run) == (expected or self.journals[run])

    def check_run(self, pair: Pair, arm: str) -> None:
        """One arm's only run is as it was here, whatever became of the other one."""
        assert pair.run_results()[arm]["status"] == "completed"
        assert pair.run_results()[arm]["parameters_sha256"] == self.shas[arm == "variant"]
        self.check_journal(pair, f"{arm}_seed0")


def _timeless_journal(pair: Pair, run: str) -> list[dict]:
    return [without_wall_clock(record) for record in pair.journal(run)]


@dataclass(frozen=True)
class RunState:
    """How far one run was on the disk."""

    attempts: int
    journal_step: int
    checkpoint_step: int
    """0 where there is none."""
    result: bytes | None
    has_begun: bool
    """Whether its newest attempt had come to where it goes on from, so that it trained."""

    @property
    def steps_to_do_again(self) -> int:
        return max(0, self.journal_step - self.checkpoint_step)

    @classmethod
    def of(cls, pair: Pair, run: str) -> "RunState":
        folder = pair.root / "runs" / run
        numbers = [int(path.name.rpartition("-")[2]) for path in folder.glob("attempt-*")]
        result = folder / "result.json"
        return cls(
            max(numbers, default=0),
            max((record["step"] for record in pair.journal(run)), default=0),
            max(pair.checkpoints(run), default=0),
            result.read_bytes() if result.exists() else None,
            max(numbers, default=0) in pair.start_steps(run),
        )


class Interrupted:
    """How far an experiment was when a fault ended the command that trained it."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._runs = {run: RunState.of(pair, run) for run in pair.runs()}

    def steps_to_do_again(self) -> int:
        """The most of any run that has no result yet."""
        return max((each.steps_to_do_again for each in self._open_runs().values()), default=0)

    def check_little_is_lost(self) -> int:
        """No more than one interval is to be done again; how many steps that are."""
        lost = self.steps_to_do_again()
        assert lost <= CHECKPOINT_EVERY + ROLLOUT, f"{lost} steps are to be done again"
        return lost

    def check_goes_on(self) -> None:
        """What has begun since went on from the newest checkpoint; no result was lost."""
        for run, before in self._runs.items():
            now = RunState.of(self._pair, run)
            if before.result is not None and b'"completed"' in before.result:
                assert now.result == before.result, f"{run}: its result was lost"
            steps = self._pair.start_steps(run)
            began = [step for number, step in steps.items() if number > before.attempts]
            if began:
                assert began[0] == before.checkpoint_step, f"{run} began at {began[0]}: {before}"

    def _open_runs(self) -> dict[str, RunState]:
        return {run: each for run, each in self._runs.items() if each.result is None}


def check_files_are_whole(root: Path) -> None:
    """Every file under its final name is complete; what is temporary has a name with a dot."""
    for path in root.rglob("*") if root.exists() else ():
        is_temporary = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not is_temporary:
            try:
                _read_whole(path)
            except Exception as error:
                raise AssertionError(f"{path} is incomplete: {error!r}") from error


def _read_whole(path: Path) -> None:
    match path.suffix:
        case ".json":
            json.loads(path.read_text())
        case ".yaml":
            yaml.safe_load(path.read_text())
        case ".jsonl":
            read_journal(path)
        case ".pkl":
            unpack(path.read_bytes(), path)
        case ".zip":
            assert zipfile.ZipFile(path).testzip() is None
        case ".csv" | ".md" | ".html":
            assert path.read_text().endswith("\n") or path.suffix == ".html"
        case ".png":
            assert path.read_bytes()[-8:-4] == b"IEND"
        case ".svg":
            assert path.read_text().rstrip().endswith("</svg>")
