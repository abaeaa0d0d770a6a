"""A file is touched while work is done, and only then."""

import threading
import time

import pytest

from src.experiments.training import heartbeat
from src.experiments.training.heartbeat import Heartbeat, Tally

INTERVAL = 0.02


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL_SECONDS", INTERVAL)


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(INTERVAL / 10)


def changes(path, seconds=12 * INTERVAL):
    """How many times a file is touched meanwhile."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        modified = path.stat().st_mtime_ns
        if modified not in seen:
            seen.append(modified)
        time.sleep(INTERVAL / 10)
    return len(seen) - 1


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

    def work():
        while not ended.wait(INTERVAL / 4):
            tally.count += 1

    worker = threading.Thread(target=work)
    with Heartbeat(path) as beating:
        beating.follow(lambda: tally.count)
        worker.start()
        alive = changes(path)
        ended.set()
        worker.join()
        time.sleep(3 * INTERVAL)
        dead = changes(path, 6 * INTERVAL)

    assert alive >= 3
    assert dead == 0


def test_nothing_is_touched_before_there_is_something_to_follow(tmp_path):
    with Heartbeat(tmp_path / "heartbeat"):
        assert changes(tmp_path / "heartbeat", 6 * INTERVAL) == 0


def test_without_a_path_nothing_runs_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = threading.active_count()
    with Heartbeat(None) as beating:
        beating.follow(lambda: 1)
        assert threading.active_count() == threads

    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_does_no_harm(tmp_path):
    (tmp_path / "file").touch()
    with Heartbeat(tmp_path / "file" / "heartbeat") as beating:
        beating.follow(time.monotonic_ns)
        time.sleep(3 * INTERVAL)

    assert (tmp_path / "file").is_file()


def test_a_folder_that_was_removed_stays_away(tmp_path):
    folder = tmp_path / "attempt-1"
    with Heartbeat(folder / "heartbeat") as beating:
        beating.follow(time.monotonic_ns)
        (folder / "heartbeat").unlink()
        try:
            folder.rmdir()
        except OSError:  # touched in between
            (folder / "heartbeat").unlink()
            folder.rmdir()
        time.sleep(3 * INTERVAL)

    assert not folder.exists()


def test_a_number_that_fails_once_does_not_still_the_heartbeat(tmp_path, caplog):
    path, asked = tmp_path / "heartbeat", []

    def stumbling():
        asked.append(1)
        if len(asked) < 4:
            raise RuntimeError("changed while it was read")
        return len(asked)

    with Heartbeat(path) as beating:
        before = path.stat().st_mtime_ns
        beating.follow(stumbling)
        wait_until(lambda: path.stat().st_mtime_ns != before)

    assert len(asked) >= 4
    assert [record.getMessage() for record in caplog.records] == [
        "whether training makes progress cannot be determined"
    ]
