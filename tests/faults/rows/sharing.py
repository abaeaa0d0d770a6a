"""Two orchestrators on one experiment, and an experiment file that has been edited meanwhile."""

import json
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..figures import Bench, Trial, generator
from ..pair import Command, Done, Pair, document, small_document

LOCKED, USAGE = 3, 2
MOST_SECONDS_UNTIL_REFUSED = 2.0
BOTH_WAYS = (("--experiment-id",), ("--config", "--resume"))


def two_at_once(bench: Bench, count: int) -> Iterator[Trial]:
    """Two commands begin at the same time: half of them to go on, half of them to start."""
    for number in range(count):
        yield Trial(partial(_one_is_refused, bench, number))


def _one_is_refused(bench: Bench, number: int, folder: Path) -> None:
    exists = number % 2 == 0
    pair = _half_trained(bench, folder) if exists else Pair(folder, document())
    words = pair.words() if exists else pair.words("--resume")
    commands = [pair.start(words=words)]
    time.sleep(generator("two at once", number).uniform(0.0, 0.3))
    commands.append(pair.start(words=words))
    try:
        loser = _first_to_end(commands)
        seconds = time.monotonic() - loser.began
        done = loser.done()
        winner = next(command for command in commands if command is not loser)
        assert not winner.ends_within(0.5), f"nobody proceeds: {winner.done()}"
    finally:
        for command in commands:
            command.kill_everything()
    _check_was_refused(done, winner)
    bench.saw("s until one is refused", seconds)
    assert seconds < MOST_SECONDS_UNTIL_REFUSED + bench.import_seconds
    assert len(list((pair.root / "runs").glob("*/attempt-*"))) <= 2  # of one command


def _check_was_refused(done: Done, winner: Command) -> None:
    assert done.code == LOCKED, done
    assert "locked" in done.stderr
    assert str(winner.pid) in done.stderr
