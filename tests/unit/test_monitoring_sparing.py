import pytest

from src.experiments.monitoring.sparing import Allowance, Sparing


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def moments(clock, seconds_each, until, **settings):
    """When a measurement that takes so long is repeated, with a question every 0.1 s."""
    found = []

    def measure():
        found.append(round(clock.now, 1))
        clock.now += seconds_each
        return len(found)

    sparing = Sparing(measure, clock=clock, **settings)
    while clock.now < until:
        assert sparing.value() == len(found)
        clock.now += 0.1
    return found


def test_a_costly_measurement_is_repeated_only_as_often_as_it_may_cost():
    assert moments(Clock(), 0.010, 3.5, share=0.01) == [0.0, 1.0, 2.0, 3.0]


def test_a_cheap_measurement_keeps_its_pause():
    assert moments(Clock(), 0.0, 5.0, at_most_every_seconds=2.0) == [0.0, 2.0, 4.0]


def test_a_needed_measurement_is_repeated_however_costly():
    assert moments(Clock(), 0.1, 4.5, share=0.001, at_least_every_seconds=2.0) == [0.0, 2.0, 4.0]


def test_waiting_costs_nothing_where_only_work_counts():
    found = moments(Clock(), 0.1, 0.5, share=0.01, cost=lambda: 7.0)

    assert found == [0.0, 0.2, 0.4]


@pytest.fixture
def clock():
    return Clock()


def test_an_allowance_is_given_in_advance_and_then_as_time_passes(clock):
    allowance = Allowance(share=0.01, advance_seconds=0.1, clock=clock)
    allowance.spend(0.09)
    assert allowance.is_left()

    allowance.spend(0.03)
    assert not allowance.is_left()
    clock.now += 1.9
    assert not allowance.is_left()
    clock.now += 0.2
    assert allowance.is_left()


def test_what_is_not_spent_is_kept_up_to_the_advance_only(clock):
    allowance = Allowance(share=0.01, advance_seconds=0.1, clock=clock)
    clock.now += 1000.0
    assert allowance.is_left()
    allowance.spend(0.1)

    assert not allowance.is_left()
