"""What the guard does about limits and silence; the executor's side is a list of what was asked."""

import logging
import os
import shutil
from collections import namedtuple

import pytest

from src.experiments.domain.errors import (
    HangError,
    ResourceLimitError,
    StorageError,
)
from src.experiments.domain.records import ResourceSample, RunKey
from src.experiments.execution import Job, OutcomeKind
from src.experiments.monitoring import Limits
from src.experiments.orchestration import guard as guard_module
from src.experiments.orchestration.guard import BUSY_SECONDS, Guard, Watched, check_free_disk

SMALL, LARGE = RunKey("baseline", 1), RunKey("variant", 1)


class Asked:
    """Notes what an executor is asked for."""

    def __init__(self):
        self.stopped = []
        self.sizes = []

    def stop(self, job, kind, cause):
        self.stopped.append((job.name, kind, cause))

    def resize(self, slots):
        self.sizes.append(slots)


class Scene:
    """A guard, its clock, and two runs with heartbeats on disk."""

    def __init__(self, folder, hang_seconds=None, **limits):
        self.now = 100.0
        self.executor = Asked()
        self.guard = Guard(
            Limits(**limits), hang_seconds, folder, slots=2, cores=2, clock=lambda: self.now
        )
        self.running = {
            run: Watched(Job(run.name, (run,), print, folder / "log"), folder / run.name, self.now)
            for run in (SMALL, LARGE)
        }
        for watched in self.running.values():
            watched.heartbeat.touch()

    def uses(self, run, *, memory=100.0, pss=None, cpu=50.0, disk=None):
        sample = ResourceSample(self.now, cpu, memory, pss_mb=pss, disk_usage_mb=disk)
        self.guard.sampled(run, sample)

    def enforce(self, seconds=1.0):
        self.now += seconds
        self.guard.enforce(self.executor, self.running)


@pytest.fixture
def scene(tmp_path):
    return lambda **settings: Scene(tmp_path, **settings)


def test_within_the_limits_nothing_happens(scene):
    quiet = scene(memory_mb=1000.0, cpu_percent=90.0, disk_gb=1.0)
    quiet.uses(SMALL)
    quiet.uses(LARGE, memory=200.0, disk=10.0)
    quiet.enforce()

    assert quiet.executor.stopped == []
    assert quiet.executor.sizes == []


def test_near_the_memory_limit_it_warns_once_and_lets_nothing_further_begin(scene, caplog):
    tight = scene(memory_mb=1000.0)
    del tight.running[LARGE]
    tight.uses(SMALL, memory=950.0)
    with caplog.at_level(logging.WARNING):
        tight.enforce()
        tight.enforce()

    assert len(caplog.records) == 1
    assert "950" in caplog.text
    assert tight.executor.sizes == [1]

    tight.uses(SMALL, memory=300.0)
    tight.enforce()
    assert tight.executor.sizes == [1, 2]


def test_above_the_memory_limit_the_largest_run_is_ended_and_no_second_one_meanwhile(scene):
    full = scene(memory_mb=1000.0)
    full.uses(SMALL, memory=500.0)
    full.uses(LARGE, memory=600.0)
    full.enforce()
    full.enforce()

    [(name, kind, cause)] = full.executor.stopped
    assert (name, kind) == (LARGE.name, OutcomeKind.OUT_OF_MEMORY)
    assert isinstance(cause, MemoryError)
    assert "variant_seed1 used most, 600 MiB" in str(cause)
    assert "resource_limits.memory_mb" in cause.remedy


def test_after_a_run_was_out_of_memory_one_fewer_goes_on_at_a_time(scene, caplog):
    full = scene(memory_mb=1000.0)
    with caplog.at_level(logging.WARNING):
        full.guard.ran_out_of_memory()
        full.guard.ran_out_of_memory()
        full.enforce()

    assert full.guard.slots == 1
    assert full.executor.sizes == [1]
    assert [record.getMessage() for record in caplog.records] == [
        "memory was short: from now on 1 at a time"
    ]


def test_after_the_largest_has_gone_the_next_one_can_be_ended(scene):
    full = scene(memory_mb=1000.0)
    full.uses(SMALL, memory=1100.0)
    full.uses(LARGE, memory=1200.0)
    full.enforce()
    full.guard.ended(LARGE, full.running.pop(LARGE).heartbeat)
    full.enforce()

    assert [name for name, _, _ in full.executor.stopped] == [LARGE.name, SMALL.name]


def test_a_sample_of_the_attempt_before_is_not_held_against_a_run(scene):
    again = scene(memory_mb=1000.0)
    again.uses(LARGE, memory=1200.0)
    watched = again.running[LARGE]
    again.running[LARGE] = Watched(watched.job, watched.heartbeat, began=again.now + 0.5)
    again.enforce()

    assert again.executor.stopped == []


def test_shared_memory_counts_proportionally(scene):
    shared = scene(memory_mb=1000.0)
    shared.uses(SMALL, memory=700.0, pss=400.0)
    shared.uses(LARGE, memory=700.0, pss=400.0)
    shared.enforce()

    assert shared.executor.stopped == []


def test_a_busy_processor_leads_to_fewer_runs_and_to_no_end(scene):
    busy = scene(cpu_percent=60.0)
    for _ in range(int(BUSY_SECONDS) + 2):
        busy.uses(SMALL, cpu=100.0)
        busy.uses(LARGE, cpu=100.0)
        busy.enforce()

    assert busy.executor.stopped == []
    assert busy.executor.sizes == [1]


def test_a_short_burst_of_the_processor_is_forgiven(scene):
    busy = scene(cpu_percent=60.0)
    for cpu in (100.0, 100.0, 20.0, 100.0, 100.0, 20.0):
        busy.uses(SMALL, cpu=cpu)
        busy.uses(LARGE, cpu=cpu)
        busy.enforce()

    assert busy.executor.sizes == []


def test_above_the_disk_limit_all_runs_are_ended(scene):
    full = scene(disk_gb=1.0)
    full.uses(SMALL, disk=1100.0)
    full.enforce()

    assert {name for name, _, _ in full.executor.stopped} == {SMALL.name, LARGE.name}
    assert {kind for _, kind, _ in full.executor.stopped} == {OutcomeKind.LIMIT}
    assert all(isinstance(cause, ResourceLimitError) for _, _, cause in full.executor.stopped)
    assert all("disk_gb" in str(cause) for _, _, cause in full.executor.stopped)


def usage(free_mb):
    return namedtuple("usage", "total used free")(0, 0, free_mb * 2**20)


def test_the_free_disk_is_watched_without_any_sample(scene, monkeypatch):
    full = scene()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(400))
    full.enforce()

    assert {kind for _, kind, _ in full.executor.stopped} == {OutcomeKind.LIMIT}
    assert "400" in str(full.executor.stopped[0][2])


def test_nothing_begins_on_a_full_volume(tmp_path, monkeypatch):
    monkeypatch.setattr(guard_module, "free_disk_mb", lambda folder: 100.0)

    with pytest.raises(StorageError, match=r"only 100 MiB are free, and 512 MiB must stay free"):
        check_free_disk(tmp_path / "not" / "yet", Limits())


def test_a_run_without_a_sign_of_life_is_ended_and_the_living_one_is_not(scene):
    silent = scene(hang_seconds=10.0)
    silent.enforce()
    for beat in range(12):
        os.utime(silent.running[LARGE].heartbeat, ns=(beat, beat))
        silent.enforce()

    [(name, kind, cause)] = silent.executor.stopped
    assert (name, kind) == (SMALL.name, OutcomeKind.HANG)
    assert isinstance(cause, HangError)
    assert isinstance(cause, TimeoutError)
    assert "hang_seconds is 10" in str(cause)


def test_runs_that_were_suspended_together_with_the_orchestrator_are_not_ended(scene):
    asleep = scene(hang_seconds=10.0)
    asleep.enforce()
    asleep.enforce(seconds=3600.0)

    assert asleep.executor.stopped == []


def test_where_nobody_can_end_a_run_silence_is_nothing(scene):
    silent = scene()
    silent.enforce()
    for _ in range(100):
        silent.enforce(seconds=9.0)

    assert silent.executor.stopped == []


def test_it_looks_once_a_second(scene):
    full = scene(memory_mb=300.0)
    full.enforce()
    full.uses(SMALL, memory=500.0)
    full.enforce(seconds=0.2)
    assert full.executor.stopped == []

    full.enforce(seconds=1.0)
    assert len(full.executor.stopped) == 1
