import os
import subprocess
import sys
import time

import psutil
import pytest

from src.experiments.monitoring.resources import (
    MachineCpu,
    ProcessTable,
    ResourceUsage,
    TreeMeter,
    directory_size_mb,
    sample_fields,
    sample_tree,
)
from src.experiments.monitoring.sparing import Sparing

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


@pytest.fixture
def idle_parent_of_a_busy_child():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_OF_BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        child = int(parent.stdout.readline())
        yield parent.pid, child
        parent.stdin.close()
        parent.wait(10)


def test_a_childs_cpu_and_memory_count_for_its_parents_tree(idle_parent_of_a_busy_child):
    parent, child = idle_parent_of_a_busy_child
    meter = TreeMeter(parent)

    first = meter.sample()
    cpu_before = sum(psutil.Process(child).cpu_times()[:2])
    begun = time.time()
    wait_until(lambda: sum(psutil.Process(child).cpu_times()[:2]) > cpu_before + 0.3)
    second = meter.sample()
    share = 100 * (sum(psutil.Process(child).cpu_times()[:2]) - cpu_before) / (time.time() - begun)

    assert first is not None
    assert second is not None
    assert first.memory_mb > 120
    assert second.memory_mb > 120
    assert second.cpu_percent == pytest.approx(share, rel=0.3)
    assert second.time > first.time


def test_what_cannot_be_measured_is_none_not_zero(idle_parent_of_a_busy_child):
    sample = sample_tree(idle_parent_of_a_busy_child[0])

    assert sample is not None
    assert sample.gpu_percent is None
    assert sample.gpu_memory_mb is None
    assert sample.disk_usage_mb is None


def test_the_first_look_tells_the_mean_since_the_start(idle_parent_of_a_busy_child):
    parent, child = idle_parent_of_a_busy_child
    wait_until(lambda: sum(psutil.Process(child).cpu_times()[:2]) > 0.3)

    sample = sample_tree(parent)

    assert sample is not None
    assert sample.cpu_percent > 5.0


def test_an_ended_process_has_no_sample():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(10)

    assert sample_tree(process.pid) is None


def test_a_zombie_has_no_sample():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        sample = sample_tree(process.pid)

    assert sample is None


def test_a_tree_holds_no_strangers():
    tree = ProcessTable().tree(os.getpid())

    assert tree[0].pid == os.getpid()
    assert os.getppid() not in {process.pid for process in tree}


def test_the_fields_of_a_sample_leave_its_time_to_the_event():
    sample = sample_tree(os.getpid())
    assert sample is not None

    fields = sample_fields(sample)

    assert "time" not in fields
    assert fields["memory_mb"] == sample.memory_mb


def test_current_usage_is_plausible_from_the_first_question_on():
    machine = psutil.virtual_memory()
    usage = ResourceUsage.current()

    assert 0.0 <= usage.cpu_percent <= 100.0
    assert 0.0 < usage.memory_percent <= 100.0
    assert usage.memory_mb == pytest.approx(machine.used / 2**20, rel=0.5)
    assert usage.disk_usage_mb > 0.0


def test_current_usage_never_waits():
    ResourceUsage.current()
    begun = time.perf_counter()
    for _ in range(20):
        ResourceUsage.current()

    assert time.perf_counter() - begun < 0.5


def test_resource_usage_has_the_defaults_of_its_description():
    usage = ResourceUsage()

    assert usage == ResourceUsage(0.0, 0.0, 0.0, 0.0, None)


def test_the_machines_cpu_use_is_what_happened_between_two_questions():
    cpu = MachineCpu()
    cpu.percent()
    begun = time.perf_counter()
    while time.perf_counter() - begun < 0.4:
        pass  # one core of this machine is busy meanwhile

    assert cpu.percent() >= 0.5 * 100.0 / (os.cpu_count() or 1)


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


def test_a_costly_measurement_is_repeated_only_as_often_as_it_may_cost():
    clock = Clock()
    calls = []

    def measure():
        calls.append(clock.now)
        clock.now += 0.010
        return len(calls)

    sparing = Sparing(measure, share=0.01, clock=lambda: clock.now)
    values = []
    while clock.now < 3.5:
        values.append(sparing.value())
        clock.now += 0.1

    assert values[0] == 1
    assert len(calls) == 4  # 10 ms at one percent: once a second
    assert values[-1] == 4


class Clock:
    now = 0.0


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
