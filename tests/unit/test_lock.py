import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from src.experiments.domain.errors import ExperimentLockedError, StorageError
from src.experiments.durability import lock
from src.experiments.durability.lock import FileLock
from src.experiments.experiment import Experiment
from tests.waiting import HANG_SECONDS, wait_until

HOLDER = """
import sys, time
from pathlib import Path
from src.experiments.durability.lock import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
HOLDER_WITH_CHILD = HOLDER.replace(
    "time.sleep(600)",
    "import os; time.sleep(600) if os.fork() else sys.stdin.read()",
)
"""The child holds what it inherited until its standard input is closed."""


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
    command = [sys.executable, "-c", HOLDER_WITH_CHILD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(lock.holders_of(tmp_path / ".lock")) == 2, "both hold it")
        yield process
        process.kill()


def test_a_lock_is_free_again_after_its_block(tmp_path):
    with FileLock(tmp_path / ".lock"):
        pass
    with FileLock(tmp_path / ".lock"):
        pass


def test_a_second_process_is_refused_before_its_patience_ends_and_told_who(tmp_path, holder):
    patience = threading.Timer(HANG_SECONDS, holder.kill)  # whoever waits gets the lock then
    patience.daemon = True
    patience.start()
    with (
        pytest.raises(ExperimentLockedError, match=str(holder.pid)),
        FileLock(tmp_path / ".lock", patience_seconds=2 * HANG_SECONDS),
    ):
        pass
    patience.cancel()


def test_who_has_patience_waits_for_the_holder_to_go(tmp_path, holder):
    is_to_go = threading.Event()

    def end_it():
        is_to_go.set()
        holder.kill()

    threading.Timer(0.3, end_it).start()
    with FileLock(tmp_path / ".lock", HANG_SECONDS, waits_for_the_living=True):
        assert is_to_go.is_set()


def test_what_a_killed_holder_has_left_is_waited_for(tmp_path, holder_with_child):
    holder_with_child.kill()  # nobody takes notice of it yet, and its child goes on for a while
    killed = psutil.Process(holder_with_child.pid)
    wait_until(lambda: killed.status() == psutil.STATUS_ZOMBIE, "it is dead")
    leaving = threading.Timer(0.8, holder_with_child.stdin.close)  # the living would be refused
    leaving.start()
    with FileLock(tmp_path / ".lock", HANG_SECONDS):
        assert holder_with_child.stdin.closed


def test_who_has_none_is_refused_at_once(tmp_path, holder):
    with (
        pytest.raises(ExperimentLockedError),
        FileLock(tmp_path / ".lock", patience_seconds=0.0, waits_for_the_living=True),
    ):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait(HANG_SECONDS)

    with FileLock(tmp_path / ".lock"):
        pass


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").touch()
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError), FileLock(tmp_path / ".lock"):  # noqa: PT011
        pass


def test_holders_are_found_by_their_open_file(tmp_path, holder):
    assert lock.holders_of(tmp_path / ".lock") == [holder.pid]


def without_locks(monkeypatch, number=errno.ENOLCK):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", flock)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_with_its_remedy(tmp_path, monkeypatch, number):
    without_locks(monkeypatch, number)
    before = list(Path("/dev/fd").iterdir())

    with pytest.raises(StorageError) as told, FileLock(tmp_path / ".lock"):
        pass

    assert os.strerror(number) in told.value.what
    assert told.value.where == str(tmp_path / ".lock")
    assert "-o flock" in told.value.remedy
    assert "--output-dir" in told.value.remedy
    assert len(list(Path("/dev/fd").iterdir())) == len(before)


def test_where_there_are_no_locks_nobody_holds_one(tmp_path, monkeypatch):
    (tmp_path / ".lock").touch()
    without_locks(monkeypatch)

    assert not lock.is_locked(tmp_path / ".lock")


def test_two_that_look_at_a_lock_do_not_take_each_other_for_its_holder(tmp_path):
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)

        assert not lock.is_locked(tmp_path / ".lock")


def test_an_experiment_does_not_appear_where_there_are_no_locks(tmp_path, monkeypatch):
    without_locks(monkeypatch)
    arm = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 1, "seed": 1}
    variant = {"extends": "baseline", "hyperparameters": {"gamma": 0.9}}
    experiment = Experiment(arm, variant, "it is better", output_dir=tmp_path / "a" / "b")

    with pytest.raises(StorageError, match="does not support locks") as told:
        experiment.publish()

    assert told.value.where == str(tmp_path)
    assert list(tmp_path.iterdir()) == []

    monkeypatch.undo()
    experiment.publish()
    assert experiment.paths.experiment.is_file()
