import os

import pytest

from src.experiments.monitoring.processes import ProcessReading, read_process, read_pss_bytes
from src.experiments.monitoring.proportional import ProportionalMemory
from src.experiments.monitoring.sparing import Allowance


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Kernel:
    """Tells the processes' proportional memory, and who was asked about."""

    def __init__(self):
        self.pss = {}
        self.asked = []

    def __call__(self, pid):
        self.asked.append(pid)
        return self.pss.get(pid, 50)

    def asked_lately(self):
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def memory(kernel, clock):
    return ProportionalMemory(kernel, plenty(clock), plenty(clock), clock)


def plenty(clock):
    return Allowance(share=1.0, advance_seconds=100.0, clock=clock)


def process(pid, resident=100, *, parent=99, started=1.0):
    return ProcessReading(pid, parent, started, 60.0, 0.0, resident)


def test_a_new_process_is_measured_at_once(memory):
    assert memory.read([process(1), process(2)]) == {1: 50, 2: 50}


def test_in_between_it_follows_the_resident_memory(memory, kernel, clock):
    memory.read([process(1, resident=100)])
    clock.now += 1.0

    assert memory.read([process(1, resident=170)]) == {1: 120}
    assert memory.read([process(1, resident=30)]) == {1: 0}
    assert kernel.asked == [1]


def test_an_old_measurement_is_repeated(memory, kernel, clock):
    memory.read([process(1)])
    clock.now += 10.0
    kernel.pss[1] = 80

    assert memory.read([process(1)]) == {1: 80}


def test_what_cannot_be_read_is_none(memory, kernel):
    kernel.pss = {1: None}

    assert memory.read([process(1), process(2)]) == {1: None, 2: 50}


def test_new_processes_stay_unknown_where_too_many_come(kernel, clock):
    first = Allowance(share=0.01, advance_seconds=0.1, clock=clock)
    memory = ProportionalMemory(kernel, first, plenty(clock), clock)
    memory.read([process(1)])
    first.spend(0.2)

    assert memory.read([process(1), process(2)]) == {1: 50, 2: None}
    clock.now += 20.0
    assert memory.read([process(1), process(2)]) == {1: 50, 2: 50}


def test_known_processes_are_not_measured_again_beyond_what_that_may_cost(kernel, clock):
    again = Allowance(share=0.01, advance_seconds=0.1, clock=clock)
    memory = ProportionalMemory(kernel, plenty(clock), again, clock)
    memory.read([process(1)])
    again.spend(0.5)
    kernel.pss = {1: 80, 2: 20}
    clock.now += 20.0

    assert memory.read([process(1), process(2)]) == {1: 50, 2: 20}
    clock.now += 30.0
    assert memory.read([process(1), process(2)]) == {1: 80, 2: 20}


def test_new_processes_come_before_old_ones_and_the_oldest_measurement_first(memory, kernel, clock):
    memory.read([process(1)])
    clock.now += 5.0
    memory.read([process(1), process(2)])
    clock.now += 20.0
    kernel.asked_lately()

    memory.read([process(3), process(2), process(1)])

    assert kernel.asked == [3, 1, 2]


def test_a_process_that_has_just_forked_is_measured_again(memory, kernel, clock):
    memory.read([process(1)])
    clock.now += 1.0
    kernel.pss = {1: 25, 2: 25}

    assert memory.read([process(1), process(2, parent=1)]) == {1: 25, 2: 25}


def test_a_pid_that_is_used_again_is_measured_anew(memory, kernel):
    memory.read([process(1)])
    kernel.pss[1] = 7

    assert memory.read([process(1, started=2.0)]) == {1: 7}


def test_the_kernel_tells_this_process():
    reading, pss = read_process(os.getpid()), read_pss_bytes(os.getpid())

    assert reading is not None
    assert reading.parent == os.getppid()
    assert reading.age_seconds > 0.0
    if pss is not None:  # not every system tells it
        assert 2**20 < pss < 2 * reading.memory_bytes


def test_a_process_that_is_not_there_tells_nothing():
    absent = 2**22 - 3

    assert read_process(absent) is None
    assert read_pss_bytes(absent) is None
