from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.experiments.config.environment_file import TrackerVariables
from src.experiments.domain.errors import ExperimentLockedError, StorageError, UsageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.storage_policy import Storage
from src.experiments.durability.journal import JournalWriter
from src.experiments.durability.lock import FileLock
from src.experiments.outputs.retention import keep_what_is_kept
from src.experiments.outputs.uploads import tell_now
from src.experiments.tracking.choosing import TrackingChoice, assignments
from src.experiments.tracking.cursor import Cursor
from src.experiments.tracking.ledger import TellingState, TrackerEntry, read_ledger, write_entry
from src.experiments.tracking.telling import Assignment, Ending, Teller, Told, ask_to_end

from ..unit.written_pairs import ROWS, RUNS, written_pair

BASELINE, VARIANT = RUNS


@pytest.fixture
def paths(tmp_path: Path) -> ExperimentPaths:
    return written_pair(tmp_path)


def assignment_of(paths: ExperimentPaths, **choice: Any) -> Assignment:
    (assignment,) = assignments(paths, ["tensorboard"], TrackingChoice(**choice), follows=False)
    return assignment


def tell(paths: ExperimentPaths, **choice: Any) -> Told:
    assignment = assignment_of(paths, **choice)
    paths.tracking.mkdir(exist_ok=True)
    with FileLock(paths.tracker_lock("tensorboard")):
        return Teller(assignment).carry_out()


def board(paths: ExperimentPaths, run: str = BASELINE.name) -> EventAccumulator:
    folder = paths.root / "tensorboard" / paths.experiment_id / run
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0})
    return found.Reload()


def scalars(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(each.step, float(each.tensor_proto.float_val[0])) for each in found.Tensors(tag)]


def test_everything_of_a_pair_is_told(paths: ExperimentPaths) -> None:
    told = tell(paths)

    found = board(paths)
    assert scalars(found, "rollouts/returns_mean") == [
        (row * 1024, 20.0 * row) for row in range(1, ROWS + 1)
    ]
    assert scalars(found, "eval/return_mean") == [(4096, 30.0)]
    assert math.isnan(scalars(found, "training_step/loss")[0][1])
    assert found.Tags()["images"] == ["figures/learning_curves"]
    assert {"examples/action", "experiment/differences", "tables/evaluations"} <= {
        tag.removesuffix("/text_summary") for tag in found.Tags()["tensors"]
    }
    assert (told.finished, set(told.runs)) == (2, set(RUNS))
    assert read_ledger(paths.ledger)["tensorboard"].state is TellingState.COMPLETE


def test_telling_twice_tells_nothing_new(paths: ExperimentPaths) -> None:
    tell(paths)
    files = sorted(paths.root.glob("tensorboard/**/events*"))

    again = tell(paths)

    assert (again.records, again.finished) == (0, 0)
    assert sorted(paths.root.glob("tensorboard/**/events*")) == files


def test_an_interrupted_telling_goes_on_where_it_was(paths: ExperimentPaths) -> None:
    tell(paths)
    entry = read_ledger(paths.ledger)["tensorboard"]
    half = replace(entry.runs[BASELINE], cursor=Cursor(2048, 1, 1), state=TellingState.OPEN)
    write_entry(paths.ledger, "tensorboard", entry.with_run(BASELINE, half))

    again = tell(paths)

    steps = [step for step, _ in scalars(board(paths), "rollouts/returns_mean")]
    assert sorted(steps) == [1024, 2048, 3072, 3072]
    assert again.finished == 1


def test_what_was_recorded_meanwhile_is_told_later(paths: ExperimentPaths) -> None:
    tell(paths)
    with JournalWriter(paths.run(VARIANT).journal) as journal:
        journal.append("metrics", 8192, metrics={"rollouts/returns_mean": 99.0})

    again = tell(paths)

    assert (again.records, again.finished) == (1, 1)
    assert scalars(board(paths, VARIANT.name), "rollouts/returns_mean")[-1] == (8192, 99.0)


def test_a_follower_tells_until_it_is_asked_to_end(paths: ExperimentPaths) -> None:
    paths.tracking.mkdir(exist_ok=True)
    ask_to_end(paths, Ending.PAUSE)
    assignment = replace(assignment_of(paths), follows=True)
    with FileLock(paths.tracker_lock("tensorboard")):
        told = Teller(assignment).carry_out()

    assert told.finished == 0
    assert told.records > ROWS
    assert read_ledger(paths.ledger)["tensorboard"].state is TellingState.OPEN


def test_another_place_is_told_everything(paths: ExperimentPaths, tmp_path: Path) -> None:
    tell(paths)

    told = tell(paths, log_dir=tmp_path / "elsewhere")

    assert told.finished == 2
    assert list((tmp_path / "elsewhere" / "pair" / VARIANT.name).iterdir())


def test_a_tracker_is_told_by_one_process_at_a_time(paths: ExperimentPaths) -> None:
    tell(paths)
    before = read_ledger(paths.ledger)
    with FileLock(paths.tracker_lock("tensorboard")), pytest.raises(ExperimentLockedError):
        tell_now(assignment_of(paths), lambda: False)

    assert read_ledger(paths.ledger) == before


def test_a_damaged_journal_keeps_no_other_run_from_being_told(paths: ExperimentPaths) -> None:
    journal = paths.run(BASELINE).journal
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([lines[0], "no record\n", *lines[1:]]))

    with pytest.raises(StorageError, match="no record"):
        tell(paths)

    assert len(scalars(board(paths, VARIANT.name), "rollouts/returns_mean")) == ROWS


def test_what_was_chosen_is_remembered_though_nothing_could_be_told(
    paths: ExperimentPaths, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(StorageError):
        tell(paths, log_dir=blocked, project="chosen", name="first")

    options = read_ledger(paths.ledger)["tensorboard"].options
    assert (options["project"], options["name"]) == ("chosen", "first")
    assert tell(paths, project="another", log_dir=tmp_path / "board").finished == 2
    with pytest.raises(UsageError, match="in project 'another'"):
        assignment_of(paths, project="a third")


def test_a_variable_that_was_set_since_names_no_other_project(paths: ExperimentPaths) -> None:
    tell(paths)
    variables = TrackerVariables({"TENSORBOARD_PROJECT": "elsewhere"})

    assert assignment_of(paths, variables=variables).options.project is None
    assert assignment_of(paths, project=paths.experiment_id).options.project is None


def test_nothing_is_removed_that_only_this_disk_has(paths: ExperimentPaths) -> None:
    tell(paths)
    before = sorted(paths.root.rglob("*"))

    for trackers in ([], ["tensorboard"]):
        keep_what_is_kept(paths, Storage.TRACKER_ONLY, trackers)

    assert sorted(paths.root.rglob("*")) == before


def test_coming_back_to_a_place_goes_on_there(paths: ExperimentPaths, tmp_path: Path) -> None:
    for name in ("one", "two"):
        tell(paths, log_dir=tmp_path / name)

    again = tell(paths, log_dir=tmp_path / "one")

    assert (again.records, again.finished) == (0, 0)


def test_files_that_were_removed_are_written_again(paths: ExperimentPaths) -> None:
    tell(paths)
    shutil.rmtree(paths.root / "tensorboard")

    assert tell(paths).finished == 2
    assert len(scalars(board(paths), "rollouts/returns_mean")) == ROWS


def test_a_run_that_only_a_tracker_has_is_left_as_it_was_told(paths: ExperimentPaths) -> None:
    tell(paths)
    before = read_ledger(paths.ledger)["tensorboard"].runs
    for run in RUNS:
        paths.run(run).journal.unlink()

    again = tell(paths)

    assert (again.records, again.finished) == (0, 0)
    assert read_ledger(paths.ledger)["tensorboard"].runs == before


def test_a_file_with_a_secret_is_not_told_and_noted(
    paths: ExperimentPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "minioadmin")
    model = paths.model(BASELINE, single_seed=True)
    model.write_bytes(b"\xff\xfe minioadmin")

    told = tell(paths)

    assert told.runs[BASELINE].withheld == (model.relative_to(paths.root).as_posix(),)
    assert told.runs[VARIANT].withheld == ()
    assert "withheld" in board(paths).Tags()["tensors"]


def test_a_failure_is_noted_with_its_cause(paths: ExperimentPaths, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    teller = Teller(assignment_of(paths, log_dir=blocked))
    paths.tracking.mkdir(exist_ok=True)

    with (
        FileLock(paths.tracker_lock("tensorboard")),
        pytest.raises(StorageError, match="TensorBoard's files cannot be written") as caught,
    ):
        teller.carry_out()
    teller.fail(caught.value)

    entry = read_ledger(paths.ledger).get("tensorboard", TrackerEntry())
    assert entry.state is TellingState.PENDING
    assert "--log-dir" in str(entry.error)
