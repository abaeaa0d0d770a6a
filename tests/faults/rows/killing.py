"""SIGKILL at random instants: of everything at once, or of the orchestrator alone."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.waiting import wait_until

from ..command import Command
from ..figures import Bench, Trial, algorithm_of, generator, new_pair, shares
from ..pair import Pair
from ..promises import Interrupted

KILLS_PER_TRIAL = 10
MOST_SECONDS_TO_BE_GONE = MOST_SECONDS_TO_BEGIN = 5.0


def kills_of_everything(bench: Bench, count: int) -> Iterator[Trial]:
    """An experiment is killed several times in its life, each time with all its processes."""
    for number, kills in enumerate(shares(count, KILLS_PER_TRIAL)):
        yield Trial(partial(_survives_kills, bench, number, kills), kills)


def _survives_kills(bench: Bench, number: int, kills: int, folder: Path) -> None:
    rng = generator("everything", number)
    algorithm, options = algorithm_of(number), _options(number)
    undisturbed, pair = bench.undisturbed(algorithm), new_pair(folder, algorithm)
    before = Interrupted(pair)
    while kills:
        command = pair.start(*options)
        if command.ends_within(rng.uniform(0.0, undisturbed.seconds)):
            undisturbed.check_same(pair, command.done())
            pair = new_pair(folder, algorithm)
        else:
            command.kill_everything(rng)
            kills -= 1
        before.check_goes_on()
        before = Interrupted(pair)
        bench.saw("steps done again", before.check_little_is_lost())
    undisturbed.check_same(pair, pair.finish(*options))
    before.check_goes_on()


def _options(number: int) -> tuple[str, ...]:
    """Every other couple of trials trains both arms at once."""
    return ("--mode", "parallel") if number // 2 % 2 else ()


def kills_of_the_orchestrator(bench: Bench, count: int) -> Iterator[Trial]:
    """The orchestrator alone is killed, and the next command does not wait for the rest to go."""
    for number, kills in enumerate(shares(count, KILLS_PER_TRIAL)):
        yield Trial(partial(_leaves_nothing, bench, number, kills), kills)


def _leaves_nothing(bench: Bench, number: int, kills: int, folder: Path) -> None:
    rng = generator("orchestrator", number)
    algorithm, options = algorithm_of(number), _options(number)
    undisturbed, pair = bench.undisturbed(algorithm), new_pair(folder, algorithm)
    command = pair.start(*options)
    while kills:
        if command.ends_within(rng.uniform(0.0, undisturbed.seconds)):
            undisturbed.check_same(pair, command.done())
            pair = new_pair(folder, algorithm)
            command = pair.start(*options)
            continue
        begun, killed, killed_at = pair.times_begun(), command, time.monotonic()
        killed.kill()
        kills -= 1
        command = pair.start(*options)
        _check_all_are_gone(bench, killed, killed_at)
        _check_begins(bench, pair, command, begun, killed_at)
    undisturbed.check_same(pair, command.done())


def _check_begins(bench: Bench, pair: Pair, command: Command, begun: int, killed_at: float) -> None:
    """A command goes on soon, or finds everything complete."""
    wait_until(lambda: pair.times_begun() > begun or command.ends_within(0.0), "it begins")
    bench.saw("s until it goes on", time.monotonic() - killed_at, MOST_SECONDS_TO_BEGIN)


def _check_all_are_gone(bench: Bench, command: Command, killed_at: float) -> None:
    wait_until(lambda: not command.family(), "all are gone")
    bench.saw("s until all are gone", time.monotonic() - killed_at, MOST_SECONDS_TO_BE_GONE)
