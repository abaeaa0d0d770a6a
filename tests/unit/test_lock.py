import subprocess
import sys
import threading
import time

import pytest

from src.experiments.domain.errors import ExperimentLockedError
from src.experiments.durability import lock
from src.experiments.durability.lock import FileLock

HOLDER = """
import sys, time
from pathlib import Path
from src.experiments.durability.lock import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")], stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.fixture
def holder_with_child(tmp_path):
    code = HOLDER.replace("time.sleep(60)", "import os; time.sleep(60 if os.fork() else 0.5)")
    code = code.replace('print("held", flush=True)\n', "")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")])
    with process:
        while len(lock.holders_of(tmp_path / ".lock")) < 2:
            time.sleep(0.01)
        yield process
        process.kill()


def test_a_lock_is_free_again_after_its_block(tmp_path):
    with FileLock(tmp_path / ".lock"):
        pass
    with FileLock(tmp_path / ".lock"):
        pass


def test_a_second_process_is_refused_within_two_seconds_and_told_who(tmp_path, holder):
    begun = time.monotonic()
    with (
        pytest.raises(ExperimentLockedError, match=str(holder.pid)),
        FileLock(tmp_path / ".lock", patience_seconds=60.0),
    ):
        pass
    assert time.monotonic() - begun < 2.0


def test_who_has_patience_waits_for_the_holder_to_go(tmp_path, holder):
    threading.Timer(0.3, holder.kill).start()
    begun = time.monotonic()
    with FileLock(tmp_path / ".lock", patience_seconds=10.0, waits_for_the_living=True):
        waited = time.monotonic() - begun

    assert 0.2 < waited < 5.0


def test_what_a_killed_holder_has_left_is_waited_for(tmp_path, holder_with_child):
    holder_with_child.kill()  # nobody takes notice of it yet, and its child goes on for a while
    begun = time.monotonic()
    with FileLock(tmp_path / ".lock", patience_seconds=10.0):
        waited = time.monotonic() - begun

    assert 0.1 < waited < 5.0


def test_who_has_none_is_refused_at_once(tmp_path, holder):
    begun = time.monotonic()
    with (
        pytest.raises(ExperimentLockedError),
        FileLock(tmp_path / ".lock", patience_seconds=0.0),
    ):
        pass

    assert time.monotonic() - begun < 1.0


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    holder.kill()

    with FileLock(tmp_path / ".lock"):
        pass


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").touch()
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError), FileLock(tmp_path / ".lock"):  # noqa: PT011
        pass


def test_holders_are_found_by_their_open_file(tmp_path, holder):
    assert lock.holders_of(tmp_path / ".lock") == [holder.pid]
