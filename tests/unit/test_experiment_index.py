"""The index of an output directory: valid, rebuilt, or done without."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from src.experiments.domain.paths import ExperimentPaths
from src.experiments.durability.experiment_index import (
    INDEX_NAME,
    SETTLED_NS,
    ExperimentIndex,
    stamp_of,
)

FORM = "test-1"
CONTENT = {"status": "completed", "tags": ["a"], "text": "\ud800 γ"}
LONG_AGO = 1_000_000_000_000_000_000


def write(output_dir: Path, experiment_id: str, *, results: bool = True) -> ExperimentPaths:
    paths = ExperimentPaths.under(output_dir, experiment_id)
    paths.root.mkdir(parents=True, exist_ok=True)
    for path in (paths.experiment, *([paths.results] if results else [])):
        path.write_text("{}")
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return paths


def stamp(paths: ExperimentPaths):
    found = stamp_of(paths)
    assert found is not None
    return found


def keep(output_dir: Path, *all_paths: ExperimentPaths) -> None:
    index = ExperimentIndex(output_dir, FORM)
    for paths in all_paths:
        index.put(paths.experiment_id, stamp(paths), CONTENT)
    index.save()


def found(output_dir: Path, paths: ExperimentPaths, form: str = FORM):
    return ExperimentIndex(output_dir, form).get(paths.experiment_id, stamp(paths))


def test_what_was_kept_is_found_while_the_files_are_the_same(tmp_path: Path) -> None:
    first, second = write(tmp_path, "first"), write(tmp_path, "second", results=False)

    keep(tmp_path, first, second)

    assert found(tmp_path, first) == CONTENT
    assert found(tmp_path, second) == CONTENT


def replace_with_the_same(path: Path) -> None:
    """Another file of the same size and time of change takes its place."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(LONG_AGO, LONG_AGO))
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda paths: os.utime(paths.experiment, ns=(LONG_AGO, LONG_AGO + 1)),
        lambda paths: os.utime(paths.results, ns=(LONG_AGO, LONG_AGO - 1)),
        lambda paths: (paths.results.write_text("{ }"), os.utime(paths.results, ns=(0, LONG_AGO))),
        lambda paths: replace_with_the_same(paths.experiment),
        lambda paths: replace_with_the_same(paths.results),
        lambda paths: paths.results.unlink(),
    ],
    ids=["changed", "set back", "longer", "replaced", "results replaced", "results gone"],
)
def test_any_change_of_either_file_makes_an_entry_invalid(tmp_path: Path, change) -> None:
    paths = write(tmp_path, "pair")
    keep(tmp_path, paths)

    change(paths)

    assert found(tmp_path, paths) is None


def test_results_that_appear_make_an_entry_invalid(tmp_path: Path) -> None:
    paths = write(tmp_path, "pair", results=False)
    keep(tmp_path, paths)

    write(tmp_path, "pair")

    assert found(tmp_path, paths) is None


def test_files_that_have_just_changed_are_not_kept(tmp_path: Path) -> None:
    """Within the resolution of a file's time it could change again and look the same."""
    paths = write(tmp_path, "pair")
    for age, is_kept in ((SETTLED_NS - 1, False), (SETTLED_NS, True)):
        index = ExperimentIndex(tmp_path, FORM, clock_ns=lambda age=age: LONG_AGO + age)
        index.put("pair", stamp(paths), CONTENT)
        index.save()

        assert (found(tmp_path, paths) is not None) == is_kept


def test_entries_of_what_was_not_asked_for_are_dropped(tmp_path: Path) -> None:
    gone, left = write(tmp_path, "gone"), write(tmp_path, "left")
    keep(tmp_path, gone, left)

    index = ExperimentIndex(tmp_path, FORM)
    index.get("left", stamp(left))
    index.save()

    assert list(json.loads((tmp_path / INDEX_NAME).read_text())["entries"]) == ["left"]


def test_an_index_that_holds_no_news_is_not_written_again(tmp_path: Path) -> None:
    paths = write(tmp_path, "pair")
    keep(tmp_path, paths)
    before = (tmp_path / INDEX_NAME).stat().st_ino

    index = ExperimentIndex(tmp_path, FORM)
    index.get("pair", stamp(paths))
    index.save()

    assert (tmp_path / INDEX_NAME).stat().st_ino == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"form": "test-1"}',
        b'{"form": "test-1", "entries": []}',
        b'{"form": "test-1", "entries": {"pair": 1}}',
        b'{"form": "test-1", "entries": {"pair": [1, {}]}}',
        b'{"form": "another", "entries": {}}',
    ],
)
def test_a_damaged_index_is_rebuilt_silently(tmp_path: Path, content: bytes) -> None:
    paths = write(tmp_path, "pair")
    (tmp_path / INDEX_NAME).write_bytes(content)

    assert found(tmp_path, paths) is None
    keep(tmp_path, paths)
    assert found(tmp_path, paths) == CONTENT


def test_an_entry_whose_content_is_no_object_is_read_anew(tmp_path: Path) -> None:
    paths = write(tmp_path, "pair")
    keep(tmp_path, paths)
    file = tmp_path / INDEX_NAME
    document = json.loads(file.read_text())
    document["entries"]["pair"][1] = ["completed"]
    file.write_text(json.dumps(document))

    assert found(tmp_path, paths) is None


def test_entries_of_another_form_are_passed_over(tmp_path: Path) -> None:
    paths = write(tmp_path, "pair")
    keep(tmp_path, paths)

    assert found(tmp_path, paths, form="test-2") is None


def test_what_stands_in_its_place_is_neither_waited_for_nor_followed(tmp_path: Path) -> None:
    paths, place = write(tmp_path, "pair"), tmp_path / INDEX_NAME
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")

    os.mkfifo(place)
    assert found(tmp_path, paths) is None
    place.unlink()
    place.symlink_to(elsewhere)
    keep(tmp_path, paths)

    assert found(tmp_path, paths) == CONTENT
    assert elsewhere.read_text() == "precious"


def test_an_index_that_lies_elsewhere_is_not_trusted(tmp_path: Path) -> None:
    paths, place = write(tmp_path, "pair"), tmp_path / INDEX_NAME
    keep(tmp_path, paths)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")

    assert found(tmp_path, paths) is None


def test_a_directory_in_its_place_is_left_alone_and_done_without(tmp_path: Path) -> None:
    paths, place = write(tmp_path, "pair"), tmp_path / INDEX_NAME
    place.mkdir()

    keep(tmp_path, paths)

    assert place.is_dir()
    assert found(tmp_path, paths) is None
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))


def test_a_directory_that_refuses_writing_is_done_without(tmp_path: Path, monkeypatch) -> None:
    paths = write(tmp_path, "pair")
    # to root no permission says no, so that it is a full disk that refuses
    if os.geteuid():
        tmp_path.chmod(0o500)
    else:
        monkeypatch.setattr(Path, "touch", refuse)

    keep(tmp_path, paths)

    assert not (tmp_path / INDEX_NAME).exists()
    tmp_path.chmod(0o700)


def refuse(path: Path, *_: object) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_no_directory_is_made_for_an_index(tmp_path: Path) -> None:
    ExperimentIndex(tmp_path / "absent", FORM).save()

    assert not (tmp_path / "absent").exists()


def test_the_index_is_as_private_as_the_experiments(tmp_path: Path) -> None:
    keep(tmp_path, write(tmp_path, "pair"))

    assert stat.S_IMODE((tmp_path / INDEX_NAME).stat().st_mode) == 0o600


def test_of_several_writers_at_once_one_wins_whole(tmp_path: Path) -> None:
    experiments = [write(tmp_path, f"pair-{number}") for number in range(20)]
    writers = [
        threading.Thread(target=keep, args=(tmp_path, *experiments[: number + 1]))
        for number in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert found(tmp_path, experiments[0]) == CONTENT
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("absent")])
def test_what_is_no_regular_file_is_no_experiment(tmp_path: Path, make) -> None:
    paths = ExperimentPaths.under(tmp_path, "odd")
    assert stamp_of(paths) is None
    paths.root.mkdir()
    make(paths.experiment)

    assert stamp_of(paths) is None
