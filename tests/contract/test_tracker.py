"""What every tracker promises, asked of each through its SDK: a server on loopback, or files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.experiments.domain.paths import ExperimentPaths
from src.experiments.durability.journal import JournalWriter
from src.experiments.outputs.uploads import tell_now
from src.experiments.tracking.choosing import TrackingChoice, assignments
from src.experiments.tracking.cursor import Cursor
from src.experiments.tracking.ledger import TellingState, read_ledger, write_entry
from src.experiments.tracking.telling import Told

from ..doubles.remotes import REMOTES, Remote
from ..unit.written_pairs import ROWS, RUNS, written_pair

pytestmark = pytest.mark.integration

METRIC, NOT_FINITE = "rollouts/returns_mean", "training_step/loss"
SECRET = "canary/of ?the contract+suite"
POINTS = [(row * 1024, 20.0 * row) for row in range(1, ROWS + 1)]


class Listener(Protocol):
    """Where a tracker's tellings arrive."""

    def series(self, metric: str) -> list[tuple[str, list[tuple[float, float]]]]: ...

    def received(self) -> list[bytes]: ...


class EventFiles:
    """TensorBoard's files of an experiment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def series(self, metric: str) -> list[tuple[str, list[tuple[float, float]]]]:
        return [(run.name, self._points(run, metric)) for run in self._runs()]

    def received(self) -> list[bytes]:
        return [path.read_bytes() for run in self._runs() for path in run.iterdir()]

    def _runs(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*/*") if path.is_dir())

    def _points(self, run: Path, metric: str) -> list[tuple[float, float]]:
        found = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
        if metric not in found.Tags()["tensors"]:
            return []
        points = [(each.step, each.tensor_proto.float_val[0]) for each in found.Tensors(metric)]
        return sorted(points)


class Case:
    """One tracker, the experiment that it is told of, and where that arrives."""

    def __init__(self, tracker: str, paths: ExperimentPaths, listener: Listener) -> None:
        self.tracker, self.paths, self.listener = tracker, paths, listener

    def tell(self) -> Told:
        """In a process of its own, as the product does."""
        (assignment,) = assignments(self.paths, [self.tracker], TrackingChoice(), follows=False)
        return tell_now(assignment, lambda: False)

    def points(self, metric: str = METRIC) -> list[list[tuple[float, float]]]:
        """Of each remote run, the baseline's first."""
        return [points for _, points in self.listener.series(metric)]

    def distinct_points(self) -> list[list[tuple[float, float]]]:
        """The same where an end by force permits that some came twice."""
        return [sorted(set(points)) for points in self.points()]


SLOW = pytest.mark.slow  # each telling starts a process that imports an SDK


@pytest.fixture(params=["tensorboard", *(pytest.param(each, marks=SLOW) for each in REMOTES)])
def case(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Case]:
    monkeypatch.setenv("CONTRACT_TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)
    paths = written_pair(tmp_path / "results", secret=SECRET)
    with ExitStack() as open_servers:
        listener: Listener = EventFiles(paths.root / "tensorboard")
        if request.param in REMOTES:
            remote: Remote = open_servers.enter_context(REMOTES[request.param](tmp_path))
            for name, value in remote.environment.items():
                monkeypatch.setenv(name, value)
            listener = remote
        yield Case(request.param, paths, listener)


def test_every_value_of_both_runs_arrives_at_its_step(case: Case) -> None:
    told = case.tell()

    assert case.points() == [POINTS, POINTS]
    assert case.points("eval/return_mean") == [[(4096, 30.0)], [(4096, 30.0)]]
    assert all(told.runs[run].url for run in RUNS)
    assert read_ledger(case.paths.ledger)[case.tracker].state is TellingState.COMPLETE


def test_what_is_not_finite_is_visible(case: Case) -> None:
    case.tell()

    as_value = [value for points in case.points(NOT_FINITE) for _, value in points]
    as_count = [value for points in case.points(f"not_finite/{NOT_FINITE}") for _, value in points]
    assert len(as_value) + len(as_count) == len(RUNS)
    assert all(map(math.isnan, as_value))


def test_no_secret_is_told(case: Case) -> None:
    case.tell()

    received = case.listener.received()
    assert not [each[:200] for each in received if SECRET.encode() in each]
    assert any(b"[redacted]" in each for each in received)


def test_telling_again_tells_nothing_twice(case: Case) -> None:
    case.tell()
    before = len(case.listener.received())

    again = case.tell()

    assert (again.records, again.finished) == (0, 0)
    assert len(case.listener.received()) == before
    assert case.points() == [POINTS, POINTS]


def test_an_end_in_between_leaves_one_remote_run_with_everything(case: Case) -> None:
    case.tell()
    entry = read_ledger(case.paths.ledger)[case.tracker]
    for run in RUNS:  # as if it had been killed after its second record
        half = replace(entry.runs[run], cursor=Cursor(1024, 1, 1), state=TellingState.OPEN)
        entry = entry.with_run(run, replace(half, conclusion=None))
    write_entry(case.paths.ledger, case.tracker, entry)

    case.tell()

    assert case.distinct_points() == [POINTS, POINTS]


def test_an_end_before_the_ledger_was_written_makes_no_second_remote_run(case: Case) -> None:
    case.tell()
    case.paths.ledger.unlink()

    case.tell()

    assert case.distinct_points() == [POINTS, POINTS]


def test_a_run_that_goes_on_after_its_end_is_told_on(case: Case) -> None:
    case.tell()
    with JournalWriter(case.paths.run(RUNS[1]).journal) as journal:
        journal.append("metrics", 8192, metrics={METRIC: 99.0})

    case.tell()

    assert case.points() == [POINTS, [*POINTS, (8192, 99.0)]]
