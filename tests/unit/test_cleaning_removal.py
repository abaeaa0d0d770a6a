import json
import os
from pathlib import Path

import pytest

from src.experiments.cleaning import (
    EVERYTHING,
    Findings,
    Kind,
    Outcome,
    Selection,
    Tree,
    cleaned_files,
    find_in_experiment,
    remove_from_experiment,
)
from src.experiments.domain.errors import ExperimentLockedError, StorageError
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment
from src.experiments.tracking.manifest import write_manifest

from .experiments_to_clean import COPIES, MODELS, OFFLINE_RUN, Written, write_experiment

ALL = Selection(EVERYTHING)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_experiment(tmp_path_factory.mktemp("template"))


@pytest.fixture
def written(template: Written, tmp_path: Path) -> Written:
    return template.copy(tmp_path)


class Look:
    """One look at the experiment, and a removal that may come later."""

    def __init__(self, written: Written, selection: Selection) -> None:
        self.written, self.selection = written, selection

    def __enter__(self) -> "Look":
        self.tree = Tree(self.written.output_dir, "pair").__enter__()
        self.findings: Findings = find_in_experiment(self.tree, "pair", self.selection)
        return self

    def __exit__(self, *error: object) -> None:
        self.tree.__exit__(None, None, None)

    def remove(self) -> Outcome:
        return remove_from_experiment(self.tree, self.written.paths, self.findings, self.selection)


def clean(written: Written, *kinds: Kind, **flags: bool) -> Outcome:
    with Look(written, Selection(frozenset(kinds), **flags)) as look:
        return look.remove()


def clean_all(written: Written, **flags: bool) -> Outcome:
    with Look(written, Selection(EVERYTHING, **flags)) as look:
        return look.remove()


def manifest(written: Written) -> dict:
    return json.loads(written.paths.manifest.read_text())


# ---- parts


def test_what_is_selected_goes_and_everything_else_stays(written: Written) -> None:
    before = written.files()

    outcome = clean(written, Kind.FIGURES)

    gone = {"report/index.html", "report/curves.png", "report/curves.svg"}
    assert {each.path for each in outcome.removed} == gone
    assert outcome.failed == []
    assert written.files() == before - gone | {"cleaned.json"}
    assert (written.root / "report" / "report.md").exists()


def test_folders_that_are_empty_then_go_too(written: Written) -> None:
    clean(written, Kind.MODELS, Kind.CHECKPOINTS)

    assert not (written.root / "models").exists()
    assert not (written.root / "checkpoints").exists()
    assert (written.root / "runs" / "variant_seed1" / "attempt-1").exists()


def test_a_folder_that_was_empty_before_stays(written: Written) -> None:
    (written.root / "artifacts" / "experiment_results_20300102_030405.json").unlink()
    (written.root / "artifacts" / "artifacts_metadata.json").unlink()

    clean(written, Kind.MODELS)

    assert (written.root / "artifacts").exists()


def test_the_manifest_is_true_afterwards(written: Written) -> None:
    clean(written, Kind.MODELS)
    rewritten = manifest(written)
    write_manifest(written.paths)
    written_anew = manifest(written)

    assert sorted(rewritten["files"], key=str) == sorted(written_anew["files"], key=str)
    assert (rewritten["count"], rewritten["bytes"]) == (
        written_anew["count"],
        written_anew["bytes"],
    )
    assert not (MODELS | COPIES) & {file["path"] for file in rewritten["files"]}


def test_a_cleaned_manifest_takes_in_nothing_of_others(written: Written) -> None:
    written.put("notes.md")
    written.put("report/mine.png")
    written.put("results.json", "changed by somebody")
    before = {file["path"]: file for file in manifest(written)["files"]}

    clean(written, Kind.MODELS)

    after = {file["path"]: file for file in manifest(written)["files"]}
    assert set(after) - set(before) == {"cleaned.json"}
    assert after["results.json"] == before["results.json"]
    assert {each.path for each in clean(written, Kind.FIGURES).removed} == {
        "report/index.html",
        "report/curves.png",
        "report/curves.svg",
    }


def test_an_experiment_without_a_manifest_gets_none(written: Written) -> None:
    written.paths.manifest.unlink()

    assert len(clean(written, Kind.MODELS).removed) == 4
    assert not written.paths.manifest.exists()


def test_the_note_tells_what_was_removed_and_of_which_content(written: Written) -> None:
    listed = {file["path"]: file for file in manifest(written)["files"]}

    clean(written, Kind.MODELS)
    clean(written, Kind.LOGS)

    removed = json.loads((written.root / "cleaned.json").read_text())["removed"]
    kinds = {each["path"]: each["kind"] for each in removed}
    assert {path for path, kind in kinds.items() if kind == "models"} == MODELS | COPIES
    assert len(kinds) == 4 + 7
    assert all(each["sha256"] == listed[each["path"]]["sha256"] for each in removed)
    assert cleaned_files(written.paths) == {written.root / path for path in kinds}


def test_without_a_note_nothing_was_cleaned(written: Written) -> None:
    assert cleaned_files(written.paths) == frozenset()
    absent = ExperimentPaths.under(written.output_dir, "absent")
    assert cleaned_files(absent) == frozenset()


@pytest.mark.parametrize("content", ["{", "[]", '{"format_version": 9, "removed": []}', "fifo"])
def test_a_note_that_cannot_be_read_says_nothing_and_is_named(
    written: Written, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    note = written.root / "cleaned.json"
    os.mkfifo(note) if content == "fifo" else note.write_text(content)

    assert cleaned_files(written.paths) == frozenset()
    assert "cleaned.json is ignored" in caplog.text


def test_models_are_noted_before_they_go(written: Written, monkeypatch) -> None:
    noted = []
    unlink = Tree.unlink

    def look_first(tree: Tree, path: str, expected: object = None) -> None:
        if path in MODELS:
            noted.append(written.root / path in cleaned_files(written.paths))
        unlink(tree, path, expected)

    monkeypatch.setattr(Tree, "unlink", look_first)
    clean(written, Kind.MODELS)

    assert noted == [True, True]


def test_checkpoints_make_room_for_the_note_on_a_full_disk(written: Written, monkeypatch) -> None:
    write = Tree.write

    def refuse_while_full(tree: Tree, name: str, data: bytes) -> None:
        if (written.root / "checkpoints").exists():
            raise StorageError("No space left on device")
        write(tree, name, data)

    monkeypatch.setattr(Tree, "write", refuse_while_full)

    assert len(clean(written, Kind.CHECKPOINTS).removed) == 7
    assert not (written.root / "checkpoints").exists()


def test_an_interrupted_removal_leaves_note_and_manifest_true(
    written: Written, monkeypatch
) -> None:
    unlink = Tree.unlink

    def interrupt(tree: Tree, path: str, expected: object = None) -> None:
        if path == "models/baseline_model_final.zip":
            raise KeyboardInterrupt
        unlink(tree, path, expected)

    monkeypatch.setattr(Tree, "unlink", interrupt)
    with pytest.raises(KeyboardInterrupt):
        clean(written, Kind.MODELS)

    gone = (MODELS | COPIES) - written.files()
    assert 0 < len(gone) < 4
    assert cleaned_files(written.paths) == {written.root / path for path in gone}
    assert not gone & {file["path"] for file in manifest(written)["files"]}


def test_a_cleaned_experiment_can_be_loaded_with_its_results(written: Written) -> None:
    before = Experiment.load(written.root).compare_results()

    clean(written, *EVERYTHING - {Kind.RECORDS})

    assert Experiment.load(written.root).compare_results() == before


# ---- the whole


def test_all_leaves_nothing(written: Written) -> None:
    number = len(written.files())

    outcome = clean_all(written)

    assert outcome.is_whole
    assert len(outcome.removed) == number
    assert list(written.output_dir.iterdir()) == []


def test_all_of_an_experiment_that_was_killed_before_its_first_manifest(written: Written) -> None:
    for path in ("metrics", "artifacts", "report"):
        for file in (written.root / path).iterdir():
            file.unlink()
    written.paths.manifest.unlink()
    (written.root / "runs" / "variant_seed1" / "attempt-2").mkdir()
    written.put(".results.json.4711-140234567890.tmp")

    assert clean_all(written).is_whole
    assert list(written.output_dir.iterdir()) == []


def test_all_leaves_what_others_have_put_there(written: Written) -> None:
    written.put("notes.md")
    written.put("runs/variant_seed1/mine/plot.png")
    (written.root / "empty").mkdir()

    assert clean_all(written).is_whole
    assert written.files() == {"notes.md", "runs/variant_seed1/mine/plot.png"}
    assert (written.root / "empty").exists()
    assert not (written.root / "runs" / "baseline_seed1").exists()


def test_all_but_what_was_changed_can_be_repeated(written: Written) -> None:
    written.put("results.json", "changed by somebody")

    first = clean_all(written)
    left = written.files()
    second = clean_all(written, changed=True)

    assert not first.is_whole
    assert left == {
        "experiment_pair.json",
        "manifest.json",
        "cleaned.json",
        "results.json",
        ".lock",
    }
    assert second.is_whole
    assert list(written.output_dir.iterdir()) == []


def test_all_leaves_offline_runs_that_were_never_synced(written: Written) -> None:
    path = f"{OFFLINE_RUN}/run-abcd1234.wandb"
    written.put(path)

    assert not clean_all(written).is_whole
    assert path in written.files()
    assert written.paths.experiment.exists()

    with Look(written, Selection(EVERYTHING | {Kind.UNSYNCED})) as look:
        assert look.remove().is_whole


def test_a_kill_in_the_middle_of_all_can_be_repeated(written: Written) -> None:
    calls = iter(range(1000))
    unlink = Tree.unlink

    def die(tree: Tree, path: str, expected: object = None) -> None:
        if next(calls) == 30:
            os._exit(9)
        unlink(tree, path, expected)

    pid = os.fork()
    if pid == 0:
        Tree.unlink = die  # type: ignore[method-assign]
        clean_all(written)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert written.paths.experiment.exists()

    assert clean_all(written).is_whole
    assert list(written.output_dir.iterdir()) == []


# ---- others at work


def test_a_locked_experiment_is_left_alone(written: Written) -> None:
    before = written.files()
    with (
        FileLock(written.paths.lock),
        pytest.raises(ExperimentLockedError, match="locked by another process"),
    ):
        clean_all(written)

    assert written.files() == before


def test_a_run_that_still_trains_keeps_its_experiment(written: Written) -> None:
    lock = written.root / "runs" / "variant_seed1" / ".lock"
    with FileLock(lock), pytest.raises(ExperimentLockedError, match="variant_seed1"):
        clean(written, Kind.MODELS)

    assert written.files() >= MODELS


def test_a_tracker_that_still_tells_keeps_its_experiment(written: Written) -> None:
    with (
        FileLock(written.root / "tracking" / ".wandb.lock"),
        pytest.raises(ExperimentLockedError),
    ):
        clean(written, Kind.MODELS)


def test_the_lock_is_held_while_files_go(written: Written, monkeypatch) -> None:
    held = []
    unlink = Tree.unlink

    def look_first(tree: Tree, path: str, expected: object = None) -> None:
        with pytest.raises(ExperimentLockedError), FileLock(written.paths.lock, 0.0):
            pass
        held.append(path)
        unlink(tree, path, expected)

    monkeypatch.setattr(Tree, "unlink", look_first)
    clean(written, Kind.FIGURES)

    assert len(held) == 3


def test_an_experiment_that_went_on_since_the_look_is_left_alone(written: Written) -> None:
    with Look(written, Selection(frozenset({Kind.MODELS}))) as look:
        write_manifest(written.paths)
        with pytest.raises(StorageError, match=r"manifest\.json has changed since"):
            look.remove()

    assert written.files() >= MODELS


def test_a_file_that_changed_since_the_look_stays_and_is_named(written: Written) -> None:
    path = "models/variant_model_final.zip"
    with Look(written, Selection(frozenset({Kind.MODELS}))) as look:
        written.put(path, "another model altogether")
        outcome = look.remove()

    assert [(failure.path, failure.why) for failure in outcome.failed] == [
        (path, "is no longer what was examined")
    ]
    assert (written.root / path).read_text() == "another model altogether"
    assert written.root / path not in cleaned_files(written.paths)


def test_a_file_that_went_since_the_look_is_no_failure(written: Written) -> None:
    with Look(written, Selection(frozenset({Kind.MODELS}))) as look:
        (written.root / "models" / "variant_model_final.zip").unlink()
        outcome = look.remove()

    assert (len(outcome.removed), outcome.failed) == (3, [])


def test_a_lock_that_is_a_link_is_refused(written: Written, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("outside")
    written.paths.lock.unlink()
    written.paths.lock.symlink_to(tmp_path / "outside")

    with pytest.raises(StorageError, match="the lock cannot be taken"):
        clean(written, Kind.MODELS)
    assert written.files() >= MODELS


def test_a_lock_that_is_absent_is_made(written: Written) -> None:
    written.paths.lock.unlink()
    assert len(clean(written, Kind.MODELS).removed) == 4
