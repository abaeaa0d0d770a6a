"""A kill at each single call that makes a file complete: rename, fsync, write."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..figures import Bench, Trial, algorithm_of
from ..pair import Pair, document, small_document
from ..promises import check_files_are_whole
from ..tracing import CALLS, attached, kill_at, record

WORKER_KILLS = 5
"""Of each call, in a training process of its own."""


def kills_at_calls(bench: Bench, count: int) -> Iterator[Trial]:
    """At every N-th call of a small experiment; where fewer are wanted, evenly spread."""
    ends = {call: _calls_of_a_command(bench, call) for call in CALLS}
    instants = [(call, number) for call, end in ends.items() for number in range(1, end + 1)]
    step = max(1, len(instants) // count)
    for call, number in instants[step // 2 :: step][:count]:
        yield Trial(partial(_survives_kill_at, bench, call, number))


def kills_of_workers_at_calls(bench: Bench, count: int) -> Iterator[Trial]:
    """At the first calls that a training process makes once it has a journal."""
    for number in range(1, WORKER_KILLS + 1):
        for index, call in enumerate(CALLS):
            if (number - 1) * len(CALLS) + index < count:
                yield Trial(partial(_worker_survives_kill_at, bench, call, number))


def _calls_of_a_command(bench: Bench, call: str) -> int:
    folder = bench.new_folder()
    trace = folder / "trace"
    bench.warm.finish(Pair(folder, small_document()), tracer=record(call, str(trace)))
    return len(trace.read_text().splitlines())


def _survives_kill_at(bench: Bench, call: str, number: int, folder: Path) -> None:
    algorithm = algorithm_of(number)
    undisturbed = bench.small_undisturbed(algorithm)
    pair = Pair(folder, small_document(algorithm))
    done = bench.warm.finish(pair, tracer=kill_at(call, number))
    check_files_are_whole(pair.root)
    if done.code == 0:  # that many calls this one does not make
        undisturbed.check_same(pair, done)
        return
    assert done.code == -9, done
    undisturbed.check_same(pair, bench.warm.finish(pair))


def _worker_survives_kill_at(bench: Bench, call: str, number: int, folder: Path) -> None:
    algorithm = algorithm_of(number)
    pair = Pair(folder, document(algorithm))
    command = pair.start("--recovery", "retry")
    with attached(kill_at(call, number), pair.worker()):
        done = command.done()
    [(how, cause)] = pair.ends()
    assert (how, "SIGKILL" in cause) == ("signal", True)
    bench.undisturbed(algorithm).check_same(pair, done)
