"""A file is touched while work is done, and only then."""

import threading
import time
from contextlib import suppress

import pytest

from src.experiments.training import heartbeat
from src.experiments.training.heartbeat import Heartbeat, Tally
from tests.waiting import wait_until

INTERVAL = 0.02


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL_SECONDS", INTERVAL)


def modified(path):
    return path.stat().st_mtime_ns


def wait_for_touches(path, count):
    """Wait until a file was touched so many times."""
    for _ in range(count):
        before = modified(path)
        wait_until(lambda before=before: modified(path) != before, f"{path.name} is touched")


class Looks:
    """A number that is looked at, and how often it was."""

    def __init__(self, number):
        self.number, self.count = number, 0

    def __call__(self):
        self.count += 1
        return self.number()

    def wait_for(self, count):
        """Wait for so many looks from now on, and for what followed from all but the last."""
        enough = self.count + count
        wait_until(lambda: self.count >= enough, "it is looked at")


def test_the_file_is_there_for_as_long_as_the_block(tmp_path):
    path = tmp_path / "attempt-1" / "heartbeat"
    with Heartbeat(path):
        assert path.is_file()

    assert not path.exists()


def test_it_is_gone_after_a_failure_too(tmp_path):
    with pytest.raises(ValueError, match="broke"), Heartbeat(tmp_path / "heartbeat"):
        raise ValueError("broke")

    assert list(tmp_path.iterdir()) == []


def test_it_is_touched_while_the_number_changes_and_no_longer(tmp_path):
    path, tally, ended = tmp_path / "heartbeat", Tally(), threading.Event()
    looks = Looks(lambda: tally.count)

    def work():
        while not ended.wait(INTERVAL / 4):
            tally.count += 1

    worker = threading.Thread(target=work)
    with Heartbeat(path) as beating:
        beating.follow(looks)
        worker.start()
        wait_for_touches(path, 3)
        ended.set()
        worker.join()
        looks.wait_for(3)  # the first of them may find the last change
        last = modified(path)
        looks.wait_for(6)

        assert modified(path) == last


def test_nothing_is_touched_before_there_is_something_to_follow(tmp_path):
    path = tmp_path / "heartbeat"
    with Heartbeat(path):
        before = modified(path)
        time.sleep(6 * INTERVAL)

        assert modified(path) == before


def test_without_a_path_nothing_runs_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = threading.active_count()
    with Heartbeat(None) as beating:
        beating.follow(lambda: 1)
        assert threading.active_count() == threads

    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_does_no_harm(tmp_path):
    (tmp_path / "file").touch()
    looks = Looks(time.monotonic_ns)
    with Heartbeat(tmp_path / "file" / "heartbeat") as beating:
        beating.follow(looks)
        looks.wait_for(3)

    assert (tmp_path / "file").is_file()


def test_a_folder_that_was_removed_stays_away(tmp_path):
    folder, looks = tmp_path / "attempt-1", Looks(time.monotonic_ns)
    with Heartbeat(folder / "heartbeat") as beating:
        beating.follow(looks)
        while folder.exists():
            (folder / "heartbeat").unlink(missing_ok=True)
            with suppress(OSError):  # touched in between
                folder.rmdir()
        looks.wait_for(3)

    assert not folder.exists()


def test_a_number_that_fails_once_does_not_still_the_heartbeat(tmp_path, caplog):
    path, asked = tmp_path / "heartbeat", []

    def stumbling():
        asked.append(1)
        if len(asked) < 4:
            raise RuntimeError("changed while it was read")
        return len(asked)

    with Heartbeat(path) as beating:
        beating.follow(stumbling)
        wait_for_touches(path, 1)

    assert len(asked) >= 4
    assert [record.getMessage() for record in caplog.records] == [
        "whether training makes progress cannot be determined"
    ]
