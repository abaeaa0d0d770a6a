"""SIGINT and SIGTERM at random instants, also while a checkpoint is being saved."""

import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..command import Command, Done
from ..figures import Bench, Trial, algorithm_of, generator, new_pair, shares
from ..pair import Pair
from ..promises import Interrupted, RunState

SIGNALS_PER_TRIAL = 10
MOST_SECONDS, MOST_SECONDS_AFTER_SECOND = 10.0, 2.0
ARMS = ("baseline", "variant")
NOTHING_LEFT = "no run was left to stop"
SECONDS_OF_LEAVING = 0.5
"""In which a command that is complete and leaves may not notice any more."""
SECOND_EVERY, SAVING_EVERY = 5, 3
"""Of the signals: those that are followed by a second one, and those sent while saving."""


def stops(number: signal.Signals, bench: Bench, count: int) -> Iterator[Trial]:
    """An experiment is stopped several times in its life by a signal of this number."""
    for trial, faults in enumerate(shares(count, SIGNALS_PER_TRIAL)):
        yield Trial(partial(_goes_on_after_stops, bench, number, trial, faults), faults)


def _goes_on_after_stops(
    bench: Bench, number: signal.Signals, trial: int, faults: int, folder: Path
) -> None:
    rng, algorithm = generator(number.name, trial), algorithm_of(trial)
    undisturbed, pair = bench.undisturbed(algorithm), new_pair(folder, algorithm)
    before = Interrupted(pair)
    while faults:
        stop = Stop(bench, pair, number, rng)
        done = stop.send_to(pair.start(), undisturbed.seconds)
        before.check_goes_on()
        before = Interrupted(pair)
        faults -= stop.is_sent
        stop.check_was_in_order(done)
        if done.code == 0:  # all was complete when the signal came
            undisturbed.check_same(pair, done)
            pair = new_pair(folder, algorithm)
            before = Interrupted(pair)
    undisturbed.check_same(pair, pair.finish())
    before.check_goes_on()


class Stop:
    """One signal, or two, at a random instant of a command's life."""

    def __init__(
        self, bench: Bench, pair: Pair, number: signal.Signals, rng: random.Random
    ) -> None:
        self._bench, self._pair, self._number, self._rng = bench, pair, number, rng
        self._is_double = rng.randrange(SECOND_EVERY) == 0
        self._is_while_saving = rng.randrange(SAVING_EVERY) == 0
        self.is_sent = False

    def send_to(self, command: Command, life_seconds: float) -> Done:
        """Send it, unless the command ends before, and wait for the end."""
        if command.ends_within(self._rng.uniform(0.0, life_seconds)):
            return command.done()
        if self._is_while_saving:
            self._wait_while_nothing_is_saved(command)
        if command.ends_within(0.0):
            return command.done()
        was_complete = self._is_complete
        self.is_sent = True
        command.process.send_signal(self._number)
        sent, most, what = time.monotonic(), MOST_SECONDS, "s until it is out"
        if self._is_double and not command.ends_within(self._rng.uniform(0.0, 0.3)):
            command.process.send_signal(self._number)
            sent, most = time.monotonic(), MOST_SECONDS_AFTER_SECOND
            what = "s after a second signal"
        done = command.done()
        seconds = time.monotonic() - sent
        self._bench.saw(what, seconds, most)
        was_over = was_complete or NOTHING_LEFT in done.stderr or seconds < SECONDS_OF_LEAVING
        assert done.code != 0 or was_over, f"it did not heed the signal: {done}"
        return done

    @property
    def _is_complete(self) -> bool:
        """Whether both runs have their results."""
        return len(list(self._pair.root.glob("runs/*/result.json"))) == len(ARMS)

    def _wait_while_nothing_is_saved(self, command: Command) -> None:
        folder = self._pair.root / "checkpoints"
        while not any(folder.glob("*/.checkpoint_*.tmp")) and not command.ends_within(0.0):
            time.sleep(0.002)

    def check_was_in_order(self, done: Done) -> None:
        """It ended by the signal, and what was running left a final checkpoint."""
        assert done.code in (0, -self._number), done
        if done.code == 0 or "stopping" not in done.stderr:
            return
        assert f"--experiment-id {self._pair.id}" in done.stderr
        if self._is_double:
            return
        for run in self._pair.runs():
            state = RunState.of(self._pair, run)
            # behind its last boundary a run saves nothing any more; and one that has not begun yet
            # to train again is as an earlier stop has left it
            is_under_way = state.has_begun and 0 < state.journal_step < self._last_boundary
            if state.result is None and is_under_way:
                self._bench.saw("steps done again", state.steps_to_do_again)
                assert state.steps_to_do_again == 0, f"{run} left no final checkpoint: {state}"

    @property
    def _last_boundary(self) -> int:
        return self._pair.content["baseline_config"]["training_steps"]
