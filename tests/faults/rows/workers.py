"""A training process dies, and the policy of the experiment says what follows."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

from ..command import Command
from ..figures import Bench, Trial
from ..pair import Pair, document
from ..promises import Undisturbed

DEATHS = ("SIGKILL", "SIGSEGV", "exit code 7")
POLICIES = ("abort", "retry", "skip")
MOST_SECONDS_TO_ABORT = 10.0
MAX_RETRIES = 2
LEAVES_AT = 700
"""The step at which the environment ends its process, where that is how it dies."""


def deaths_under_policies(bench: Bench, count: int) -> Iterator[Trial]:
    """Each way to die under each policy; where fewer are wanted, different ones of both."""
    each = list(product(DEATHS, POLICIES))
    for death, policy in (each if count >= len(each) else each[:: len(POLICIES) + 1])[:count]:
        yield Trial(partial(death_is_dealt_with, bench, death, policy))


def death_is_dealt_with(bench: Bench, death: str, policy: str, folder: Path) -> None:
    """An experiment whose baseline dies ends as its policy says."""
    pair = _leaving_pair(folder)
    asking = pair.folder / ("asks-to-leave" if death == "exit code 7" else "asks-to-leave-to-wait")
    asking.touch()  # a killed one waits for it where another one leaves
    command = pair.start("--recovery", policy, "--max-retries", str(MAX_RETRIES))
    died_at = _die(pair, command, death)
    done = command.done()
    match policy:
        case "abort":
            bench.saw("s until exit 1", time.monotonic() - died_at, MOST_SECONDS_TO_ABORT)
            assert done.code == 1, done
            assert "baseline_seed0" in done.stderr
            assert death in done.stderr
            assert pair.run_results()["baseline"]["status"] == "failed"
        case "retry":
            check_went_on_from_checkpoint(pair)
            _leaving_undisturbed(bench).check_same(pair, done)
        case "skip":
            assert done.code == 4, done
            assert pair.run_results()["baseline"]["status"] == "skipped"
            _leaving_undisturbed(bench).check_run(pair, "variant")
            assert pair.results()["comparison"]["verdict"] == "insufficient_evidence"
    assert death in pair.ends()[0][1]


def check_went_on_from_checkpoint(pair: Pair) -> None:
    """The baseline was tried again, not more often than allowed, and not from its start."""
    assert 2 <= pair.run_results()["baseline"]["attempts"] <= 1 + MAX_RETRIES
    assert min(step for number, step in pair.start_steps().items() if number > 1) > 0


def _leaving_pair(folder: Path) -> Pair:
    """A pair whose environment leaves once, when a file asks for it."""
    asks = {"kind": "leave", "at": LEAVES_AT, "asked_by": "asks-to-leave"}
    arms = {"environment": "BrokenCartPole-v0", "environment_kwargs": asks}
    variant = {"environment_kwargs": {**asks, "asked_by": "asks-nobody"}}
    content = document("PPO", baseline=arms, variant=variant)
    return Pair(folder, content, environment={"FAULTS_FOLDER": str(folder)})


def _leaving_undisturbed(bench: Bench) -> Undisturbed:
    return bench.once("leaving", lambda: Undisturbed.by_training(_leaving_pair(bench.new_folder())))


def _die(pair: Pair, command: Command, death: str) -> float:
    """Let the baseline's process die once it has a checkpoint; the moment when it has."""
    if death == "exit code 7":
        while not pair.ends() and not command.ends_within(0.01):
            pass
    else:
        worker = pair.worker()
        pair.wait_for_checkpoints(1)
        os.kill(worker, signal.Signals[death])
        (pair.folder / "asks-to-leave-to-wait").unlink()
    return time.monotonic()
