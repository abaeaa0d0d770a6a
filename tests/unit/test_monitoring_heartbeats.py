import os

import pytest

from src.experiments.monitoring import Heartbeats


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heartbeats(clock):
    return Heartbeats(clock)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "heartbeat"
    path.touch()
    return path


def touch(path, time_ns):
    os.utime(path, ns=(time_ns, time_ns))


def test_silence_counts_from_the_first_question(heartbeats, clock, file):
    assert heartbeats.silent_seconds(file) == 0.0
    clock.now += 30.0
    assert heartbeats.silent_seconds(file) == 30.0


def test_a_touch_ends_the_silence(heartbeats, clock, file):
    heartbeats.silent_seconds(file)
    clock.now += 30.0
    touch(file, 5)
    assert heartbeats.silent_seconds(file) == 0.0
    clock.now += 7.0
    assert heartbeats.silent_seconds(file) == 7.0


def test_what_the_time_is_does_not_matter(heartbeats, clock, file):
    touch(file, 2**62)
    heartbeats.silent_seconds(file)
    clock.now += 30.0
    assert heartbeats.silent_seconds(file) == 30.0
    touch(file, 1)  # by a machine whose clock is behind
    assert heartbeats.silent_seconds(file) == 0.0


def test_a_file_that_does_not_exist_yet_is_silent(heartbeats, clock, tmp_path):
    absent = tmp_path / "absent"
    heartbeats.silent_seconds(absent)
    clock.now += 30.0
    assert heartbeats.silent_seconds(absent) == 30.0


def test_appearing_and_vanishing_are_signs_of_life(heartbeats, clock, tmp_path):
    path = tmp_path / "heartbeat"
    heartbeats.silent_seconds(path)
    clock.now += 30.0
    path.touch()
    assert heartbeats.silent_seconds(path) == 0.0
    clock.now += 30.0
    path.unlink()
    assert heartbeats.silent_seconds(path) == 0.0


def test_files_are_watched_each_for_itself(heartbeats, clock, file, tmp_path):
    other = tmp_path / "other"
    other.touch()
    heartbeats.silent_seconds(file)
    heartbeats.silent_seconds(other)
    clock.now += 30.0
    touch(other, 5)

    assert heartbeats.silent_seconds(file) == 30.0
    assert heartbeats.silent_seconds(other) == 0.0


def test_a_forgotten_file_begins_anew(heartbeats, clock, file):
    heartbeats.silent_seconds(file)
    clock.now += 30.0
    heartbeats.forget(file)
    heartbeats.forget(file)
    assert heartbeats.silent_seconds(file) == 0.0
