"""A thread that watches this process, and what becomes of it when something fails."""

import os
import threading
import time

import psutil
import pytest

from src.experiments.domain.records import RunKey
from src.experiments.monitoring import ResourceMonitor
from tests.waiting import wait_until

RUN = RunKey("baseline", 42)
OTHER = RunKey("variant", 42)


class Sink:
    def __init__(self):
        self.samples = []

    def __call__(self, run, sample):
        self.samples.append((run, sample))

    def of(self, run):
        return [sample for told, sample in self.samples if told == run]


def test_constructing_a_monitor_starts_nothing():
    before = threading.active_count()

    ResourceMonitor(dict, Sink())

    assert threading.active_count() == before


def test_every_target_and_the_whole_are_told_again_and_again(tmp_path):
    sink = Sink()
    (tmp_path / "file").write_bytes(bytes(2**20))

    with ResourceMonitor(lambda: {RUN: os.getpid()}, sink, 0.05, tmp_path):
        wait_until(lambda: len(sink.of(RUN)) >= 3 and len(sink.of(None)) >= 3)

    for sample in (sink.of(RUN)[0], sink.of(None)[0]):
        assert sample.memory_mb > 1.0
        assert sample.disk_usage_mb == 1.0
        assert sample.disk_free_mb > 0.0


def test_all_samples_of_one_look_have_the_same_time():
    sink = Sink()
    targets = {RUN: os.getpid(), OTHER: os.getpid()}

    with ResourceMonitor(lambda: targets, sink, 0.02):
        wait_until(lambda: len(sink.of(None)) >= 3)

    times = [sample.time for _, sample in sink.samples[:9]]
    assert times[0] == times[1] == times[2] < times[3] == times[4] == times[5] < times[6]


def test_a_monitor_stops_however_long_its_interval():
    sink = Sink()
    with ResourceMonitor(lambda: {RUN: os.getpid()}, sink, 3600.0):
        wait_until(lambda: sink.of(None))

    assert "resources" not in {thread.name for thread in threading.enumerate()}


def test_a_target_that_has_ended_costs_only_its_own_samples():
    sink = Sink()
    absent = 2**22 + 3  # more than any system gives

    with ResourceMonitor(lambda: {OTHER: absent, RUN: os.getpid()}, sink, 0.02):
        wait_until(lambda: len(sink.of(RUN)) >= 2)

    assert sink.of(OTHER) == []


def test_a_failing_sink_is_called_again_and_its_failure_logged_once(caplog):
    calls = []

    def sink(run, sample):
        calls.append(run)
        raise OSError("disk full")

    with ResourceMonitor(lambda: {RUN: os.getpid()}, sink, 0.02):
        wait_until(lambda: len(calls) >= 6)

    assert [record.getMessage() for record in caplog.records] == [
        "resources are not fully monitored (OSError: disk full)"
    ]


def test_failing_targets_do_not_end_the_watch():
    sink = Sink()
    calls = []

    def targets():
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("changed while it was read")
        return {RUN: os.getpid()}

    with ResourceMonitor(targets, sink, 0.02):
        wait_until(lambda: sink.of(RUN))


def test_a_removed_directory_does_not_end_the_watch(tmp_path):
    sink = Sink()

    with ResourceMonitor(dict, sink, 0.02, tmp_path / "absent"):
        wait_until(lambda: len(sink.of(None)) >= 2)

    assert sink.of(None)[0].disk_usage_mb is None


def test_a_monitor_can_be_entered_again():
    sink = Sink()
    monitor = ResourceMonitor(dict, sink, 0.02)
    for _ in range(2):
        sink.samples.clear()
        with monitor:
            wait_until(lambda: sink.of(None))


@pytest.mark.slow
def test_watching_costs_less_than_half_a_percent_of_a_core(tmp_path):
    for number in range(300):
        folder = tmp_path / str(number % 20)
        folder.mkdir(exist_ok=True)
        (folder / str(number)).write_bytes(b"x")
    sink = Sink()
    targets = {RunKey("baseline", seed): os.getpid() for seed in range(4)}

    with ResourceMonitor(lambda: targets, sink, 1.0, tmp_path):
        wait_until(lambda: len(sink.of(None)) >= 2)
        thread = psutil.Process().cpu_times()
        begun = time.monotonic()
        time.sleep(10.0)
        now = psutil.Process().cpu_times()
        elapsed = time.monotonic() - begun

    used = (now.user + now.system) - (thread.user + thread.system)
    assert used / elapsed < 0.005
