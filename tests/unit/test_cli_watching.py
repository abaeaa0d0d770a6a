import logging
import threading
import time
from collections.abc import Sequence

import pytest

from src.experiments.cli.snapshot import Snapshot
from src.experiments.cli.watching import (
    LONGEST_PAUSE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    Notices,
    Pace,
    Watcher,
    logged_to,
)
from tests.waiting import HANG_SECONDS, wait_until


class Recorder:
    """A display that remembers what it was shown."""

    def __init__(self, breaks: bool = False) -> None:
        self.breaks = breaks
        self.phases: list[str] = []
        self.notices: list[str] = []
        self.is_open = False
        self.looked = threading.Event()

    def open(self) -> None:
        self.is_open = True

    def update(self, snapshot: Snapshot, notices: Sequence[str]) -> None:
        self.looked.set()
        if self.breaks:
            raise BrokenPipeError
        self.phases.append(snapshot.phase)
        self.notices.extend(notices)

    def close(self) -> None:
        self.is_open = False


def test_the_last_look_is_shown_and_the_terminal_given_back() -> None:
    display, phase = Recorder(), ["running"]

    with Watcher(lambda: Snapshot(phase[0], ()), display, Notices()):
        assert display.is_open
        phase[0] = "completed"

    assert display.phases[-1] == "completed"
    assert not display.is_open


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("src.experiments.cli.watching.PATIENCE_SECONDS", 0.2)
    frozen, entered = threading.Event(), threading.Event()

    def look() -> Snapshot:
        entered.set()
        frozen.wait(2 * HANG_SECONDS)
        return Snapshot("", ())

    with Watcher(look, Recorder(), Notices()) as watcher:
        assert entered.wait(HANG_SECONDS)
    assert watcher.is_stuck
    frozen.set()


def test_whoever_asked_for_the_view_can_be_told_of_its_failure() -> None:
    failures: list[Exception] = []
    display = Recorder(breaks=True)

    with Watcher(lambda: Snapshot("", ()), display, Notices(), failures.append):
        assert display.looked.wait(HANG_SECONDS)

    assert [type(failure) for failure in failures] == [BrokenPipeError]


def test_a_broken_view_is_said_once_and_training_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    display = Recorder(breaks=True)

    with Watcher(lambda: Snapshot("", ()), display, Notices()):
        assert display.looked.wait(HANG_SECONDS)
        time.sleep(0.6)  # two more looks would have been due

    assert [record.message for record in caplog.records] == [
        "the progress view has stopped (BrokenPipeError())"
    ]
    assert not display.is_open


def test_log_lines_become_notices_from_their_level_on() -> None:
    notices, logger = Notices(logging.WARNING), logging.Logger("any")
    logger.addHandler(notices)

    logger.info("fine")
    logger.warning("slow \x1b[2J%s", "!")
    notices.say("stopping")

    assert notices.take() == ["warning: slow \\x1b[2J!", "stopping"]
    assert notices.take() == []


def test_the_package_s_log_is_collected_while_the_block_lasts() -> None:
    notices, logger = Notices(), logging.getLogger("src.experiments.orchestration.campaign")

    with logged_to(notices):
        logger.warning("inside")
    logger.warning("outside")

    assert notices.take() == ["warning: inside"]


FIRST = (5.0, 5.0)
"""What two looks may cost that open everything."""


class ProcessorTime:
    """The processor time of a thread that does nothing else than to look."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def paused_after(*costs: float) -> list[float]:
    clock = ProcessorTime()
    pace, pauses = Pace(clock, share=0.01), []
    for cost in costs:
        with pace:
            clock.seconds += cost
        pauses.append(pace.pause_seconds)
    return pauses


def test_cheap_looks_are_taken_four_times_a_second() -> None:
    assert paused_after(0.001, 0.002, 0.001) == [SHORTEST_PAUSE_SECONDS] * 3


def test_costly_looks_are_paused_for_until_they_take_a_hundredth() -> None:
    costs = [0.008] * 40

    pauses = paused_after(*FIRST, *costs)

    assert pauses[-1] == pytest.approx(0.8)
    assert sum(costs) <= 0.0105 * sum(pauses[-40:])


def test_looks_that_draw_and_looks_that_do_not_are_paused_for_together() -> None:
    costs = [0.010, 0.002] * 20

    assert sum(costs) <= 0.0105 * sum(paused_after(*FIRST, *costs)[-40:])


def test_the_first_looks_cost_no_patience_and_no_look_costs_too_much() -> None:
    shortest, longest = SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

    assert paused_after(*FIRST, 5.0) == [shortest, shortest, longest]


def test_an_answer_to_ctrl_c_does_not_wait_until_a_look_can_be_afforded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pace, "pause_seconds", 2 * HANG_SECONDS)
    display, notices = Recorder(), Notices()

    with Watcher(lambda: Snapshot("running", ()), display, notices):
        assert display.looked.wait(HANG_SECONDS)
        notices.say("stopping")
        wait_until(lambda: display.notices, "it is answered")

        assert display.notices == ["stopping"]
        assert display.phases == ["running", "running"]


def test_at_most_four_looks_a_second_are_taken() -> None:
    display, notices = Recorder(), Notices()

    begun = time.monotonic()  # before the first look, which may come at once
    with Watcher(lambda: Snapshot("running", ()), display, notices):
        while time.monotonic() < begun + 0.6:
            notices.say("something, again and again")
            time.sleep(0.005)
        looks, seconds = len(display.phases), time.monotonic() - begun

    assert looks <= 1 + seconds / SHORTEST_PAUSE_SECONDS
