import logging
import threading
import time
from collections.abc import Sequence

import pytest

from src.experiments.cli.snapshot import Snapshot
from src.experiments.cli.watching import Notices, Watcher


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
        frozen.wait(30)
        return Snapshot("", ())

    with Watcher(look, Recorder(), Notices()) as watcher:
        assert entered.wait(5)
    assert watcher.is_stuck
    frozen.set()


def test_a_broken_view_is_said_once_and_training_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    display = Recorder(breaks=True)

    with Watcher(lambda: Snapshot("", ()), display, Notices()):
        assert display.looked.wait(5)
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
