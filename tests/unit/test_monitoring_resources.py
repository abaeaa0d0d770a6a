import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import NamedTuple

import psutil
import pytest

from src.experiments.domain.units import MIB
from src.experiments.monitoring import GpuDevice, directory_size_mb, free_disk_mb
from src.experiments.monitoring.processes import HAS_PROC, ProcessReading
from src.experiments.monitoring.readings import ProcessWatch, Reading
from src.experiments.monitoring.resources import (
    MachineCpu,
    MachineMeter,
    ResourceUsage,
    TreeMeter,
)
from tests.waiting import HANG_SECONDS, wait_until

needs_pss = pytest.mark.skipif(not HAS_PROC, reason="this system does not tell it")
BUSY_WITH_MEMORY = """
import time
ballast = bytearray(120 * 2**20)
for page in range(0, len(ballast), 4096):
    ballast[page] = 1
print("ready", flush=True)
while True:
    pass
"""
PARENT_OF_BUSY = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {BUSY_WITH_MEMORY!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""
PARENT_OF_FORKED = """
import os, signal, sys
common = bytearray(60 * 2**20)
for page in range(0, len(common), 4096):
    common[page] = 1
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.pause()
    children.append(child)
print("ready", flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.fixture
def idle_parent_of_a_busy_child():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_OF_BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        child = int(parent.stdout.readline())
        yield parent.pid, child
        parent.stdin.close()
        parent.wait(HANG_SECONDS)


@pytest.fixture
def forked_with_common_memory():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_OF_FORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        yield parent.pid
        parent.stdin.close()
        parent.wait(HANG_SECONDS)


def test_a_childs_cpu_and_memory_count_for_its_parents_tree(idle_parent_of_a_busy_child):
    parent, child = idle_parent_of_a_busy_child
    meter = MachineMeter(parent)

    before_first = moment_of(child)
    first = meter.sample()
    after_first = moment_of(child)
    wait_until(lambda: cpu_seconds_of(child) > after_first.cpu_seconds + 0.3)
    before_second = moment_of(child)
    second = meter.sample()
    after_second = moment_of(child)

    assert first is not None
    assert second is not None
    assert first.memory_mb > 120
    assert second.memory_mb > 120
    least = percent_between(after_first, before_second, before_first, after_second)
    most = percent_between(before_first, after_second, after_first, before_second)
    assert 0.9 * least <= second.cpu_percent <= 1.1 * most
    assert second.time > first.time


class Moment(NamedTuple):
    """What the clock said, and what a process had used by then."""

    seconds: float
    cpu_seconds: float


def cpu_seconds_of(pid):
    return sum(psutil.Process(pid).cpu_times()[:2])


def moment_of(pid):
    return Moment(time.monotonic(), cpu_seconds_of(pid))


def percent_between(used_from, used_to, lasts_from, lasts_to):
    """Of a core: what was used between two moments, over the time between two others."""
    return (
        100
        * (used_to.cpu_seconds - used_from.cpu_seconds)
        / (lasts_to.seconds - lasts_from.seconds)
    )


@needs_pss
def test_a_trees_proportional_memory_is_not_more_than_its_resident(idle_parent_of_a_busy_child):
    sample = sample_of(idle_parent_of_a_busy_child[0])

    assert sample is not None
    assert sample.pss_mb is not None
    assert sample.memory_mb >= sample.pss_mb > 120
    assert sample.cpu_percent > 0.0


@needs_pss
def test_what_forked_processes_share_counts_once(forked_with_common_memory):
    sample = sample_of(forked_with_common_memory)

    assert sample is not None
    assert sample.memory_mb > 4 * 60
    assert 60 < sample.pss_mb < 60 + 60


def test_what_cannot_be_measured_is_none_not_zero(idle_parent_of_a_busy_child):
    sample = sample_of(idle_parent_of_a_busy_child[0])

    assert sample is not None
    assert sample.gpu_percent is None
    assert sample.gpu_memory_mb is None
    assert sample.disk_usage_mb is None


def test_the_first_look_tells_the_mean_since_the_start(idle_parent_of_a_busy_child):
    parent, child = idle_parent_of_a_busy_child
    wait_until(lambda: cpu_seconds_of(child) > 0.3)
    used = cpu_seconds_of(child)

    sample = sample_of(parent)

    age_seconds = time.time() - psutil.Process(parent).create_time()
    assert sample is not None
    assert sample.cpu_percent > 0.9 * 100 * used / age_seconds


def test_an_ended_process_has_no_sample():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(HANG_SECONDS)

    assert sample_of(process.pid) is None


def test_a_zombie_has_no_sample():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        sample = sample_of(process.pid)

    assert sample is None


def test_a_tree_holds_no_strangers():
    tree = ProcessWatch().read([os.getpid()]).trees[os.getpid()]

    assert tree[0].pid == os.getpid()
    assert os.getppid() not in {process.pid for process in tree}


def test_trees_within_one_another_are_seen_at_the_same_moment(idle_parent_of_a_busy_child):
    parent, child = idle_parent_of_a_busy_child

    reading = ProcessWatch().read([parent, child])

    assert [reading.pid for reading in reading.trees[parent]] == [parent, child]
    assert reading.trees[child] == [reading.trees[parent][1]]


def reading(pid, cpu_seconds, age_seconds, started=1.0):
    return ProcessReading(pid, 1, started, age_seconds, cpu_seconds, MIB)


def look_at(moment, *readings):
    return Reading(1e9, moment, {7: readings}, {each.pid: None for each in readings}, ())


def test_cpu_use_is_what_was_used_between_two_looks():
    meter = TreeMeter(7)
    meter.sample(look_at(100.0, reading(7, 50.0, 60.0), reading(8, 20.0, 40.0)))

    sample = meter.sample(look_at(110.0, reading(7, 51.0, 70.0), reading(8, 24.0, 50.0)))

    assert sample.cpu_percent == pytest.approx(50.0)


def test_a_process_that_is_noticed_late_has_not_used_all_of_it_just_now():
    meter = TreeMeter(7)
    meter.sample(look_at(100.0, reading(7, 0.0, 60.0)))

    sample = meter.sample(look_at(101.0, reading(7, 0.0, 61.0), reading(8, 5.0, 10.0)))

    assert sample.cpu_percent == pytest.approx(50.0)


def test_a_pid_that_is_used_again_is_another_process():
    meter = TreeMeter(7)
    meter.sample(look_at(100.0, reading(7, 0.0, 60.0), reading(8, 50.0, 60.0)))

    sample = meter.sample(
        look_at(102.0, reading(7, 0.0, 62.0), reading(8, 1.0, 1.0, started=161.0))
    )

    assert sample.cpu_percent == pytest.approx(50.0)


def test_a_tree_has_what_its_processes_use_of_the_devices():
    device = GpuDevice(0, "device", 90.0, None, None, {8: 300.0, 9: 50.0}, {8: 40.0, 9: 50.0})
    look = look_at(100.0, reading(7, 0.0, 1.0), reading(8, 0.0, 1.0))

    sample = TreeMeter(7).sample(replace(look, devices=(device,)))

    assert (sample.gpu_percent, sample.gpu_memory_mb) == (40.0, 300.0)


def test_proportional_memory_is_none_where_one_process_hides_it():
    look = look_at(100.0, reading(7, 0.0, 1.0), reading(8, 0.0, 1.0))

    sample = TreeMeter(7).sample(replace(look, pss_bytes={7: MIB, 8: None}))

    assert sample.memory_mb == 2.0
    assert sample.pss_mb is None


def test_current_usage_is_plausible_from_the_first_question_on():
    machine = psutil.virtual_memory()
    usage = ResourceUsage.current()

    assert 0.0 <= usage.cpu_percent <= 100.0
    assert 0.0 < usage.memory_percent <= 100.0
    assert usage.memory_mb == pytest.approx(machine.used / 2**20, rel=0.5)
    assert usage.disk_usage_mb > 0.0


def test_current_usage_never_waits(monkeypatch):
    monkeypatch.setattr(time, "sleep", pytest.fail)

    for _ in range(20):
        ResourceUsage.current()


def test_resource_usage_has_the_defaults_of_its_description():
    usage = ResourceUsage()

    assert usage == ResourceUsage(0.0, 0.0, 0.0, 0.0, None)


def test_the_machines_cpu_use_is_what_happened_between_two_questions():
    cpu = MachineCpu()
    cpu.percent()
    begun, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < 0.4:
        pass  # as much of one core as this process is given
    share = 0.4 / (time.perf_counter() - begun)

    assert cpu.percent() >= 0.5 * 100.0 * share / (os.cpu_count() or 1)


def test_a_question_too_soon_gets_the_same_answer():
    now = [100.0]
    cpu = MachineCpu(clock=lambda: now[0])
    first = cpu.percent()
    now[0] += 0.01

    assert cpu.percent() == first


def test_a_directorys_size_counts_its_files_and_follows_no_link(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep" / "er").mkdir(parents=True)
    outside.mkdir()
    (outside / "large").write_bytes(bytes(2**20))
    (inside / "a").write_bytes(bytes(2**19))
    (inside / "deep" / "er" / "b").write_bytes(bytes(2**18))
    (inside / "link").symlink_to(outside)
    (inside / "file link").symlink_to(outside / "large")
    os.mkfifo(inside / "pipe")

    assert directory_size_mb(inside) == 0.75
    assert directory_size_mb(tmp_path / "absent") == 0.0


def test_what_is_free_is_told_and_nothing_where_nothing_is(tmp_path):
    assert free_disk_mb(tmp_path) == pytest.approx(psutil.disk_usage(tmp_path).free / MIB, rel=0.1)
    assert free_disk_mb(tmp_path / "absent") is None


def sample_of(pid):
    return MachineMeter(pid).sample()
