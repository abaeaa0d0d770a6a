"""Runs that take too much memory, and runs that give no sign of life."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .. import memory_group
from ..command import Done
from ..figures import Bench, Trial
from ..memory_group import MemoryGroup
from ..pair import Pair, document

LIMIT_MB, GROUP_MB, ADDRESS_SPACE_MB = 700, 900, 6000
SILENT_SECONDS = 10
"""After which a run is said to hang; no healthy one is silent for so long on a slow machine."""
MOST_SECONDS_MORE = 10
"""Within which the run that hangs is named and ended after that."""
EXIT_CODES = {"abort": 1, "retry": 1, "skip": 4}
SHORT = {"hyperparameters": {"n_steps": 64, "batch_size": 64, "n_epochs": 1}, "training_steps": 640}


def greedy_pair(folder: Path, kind: str, *, prefix: tuple[str, ...] = (), **settings) -> Pair:
    """A pair whose baseline misbehaves and whose variant does not.

    Settings are as of `document`; those of `arguments` go to the baseline's environment.
    """
    arguments = {"kind": kind, "folder": str(folder), **settings.pop("arguments", {})}
    baseline = {"environment": "GreedyCartPole-v0", "environment_kwargs": arguments, **SHORT}
    content = document(
        baseline={**baseline, **settings.pop("baseline", {})},
        variant={"environment_kwargs": {"kind": "none"}},
        **settings,
    )
    return Pair(folder, content, prefix=prefix)


# ---- memory


def shortages_of_memory(bench: Bench, count: int) -> Iterator[Trial]:
    """The limit under each policy, and memory that really runs out."""
    breaches = [partial(_is_dealt_with, policy) for policy in ("skip", "abort", "retry")]
    for check in (breaches[0], _survives_a_real_shortage, *breaches[1:])[:count]:
        yield Trial(check)


def _is_dealt_with(policy: str, folder: Path) -> None:
    limits = {"memory_mb": LIMIT_MB}
    # later than the probe of parallel mode looks
    pair = greedy_pair(folder, "memory", arguments={"at": 300}, resource_limits=limits)
    modes = {"skip": ("--mode", "parallel"), "retry": ("--max-retries", "1")}
    done = pair.finish("--recovery", policy, *modes.get(policy, ()))
    assert done.code == EXIT_CODES[policy], done
    assert [how for how, _ in pair.ends()] == ["out_of_memory"] * (1 + (policy == "retry"))
    for _, cause in pair.ends():
        assert f"{LIMIT_MB} MiB" in cause
        assert "baseline_seed0 used most" in cause
    _check_was_named(pair, done, policy)


def _survives_a_real_shortage(folder: Path) -> None:
    """In a control group where there can be one, else with a bounded address space."""
    if memory_group.why_not():
        bounded = ("prlimit", f"--as={ADDRESS_SPACE_MB << 20}")
        pair = greedy_pair(folder, "memory", prefix=bounded, arguments={"pieces": 200})
        _survives(pair, "MemoryError")
    else:
        with MemoryGroup(GROUP_MB) as group:
            _survives(greedy_pair(folder, "memory", prefix=tuple(group.prefix)), "kernel")


def _survives(pair: Pair, told: str) -> None:
    done = pair.finish("--recovery", "skip")
    assert done.code == EXIT_CODES["skip"], done
    [(how, cause)] = pair.ends()
    assert how == "out_of_memory"
    assert told in cause
    _check_was_named(pair, done, "skip")


def _check_was_named(pair: Pair, done: Done, policy: str) -> None:
    assert "memory" in done.stderr.lower()
    if policy == "skip":
        assert pair.run_results()["variant"]["status"] == "completed"


# ---- hangs


def hangs(bench: Bench, count: int) -> Iterator[Trial]:
    """The environment hangs in each of its methods; the process is stopped from outside."""
    kinds = ("hang_in_step", "hang_in_reset", "hang_in_close")
    skipped = (partial(_hang_is_named_in_time, bench, kind) for kind in kinds)
    for check in [*skipped, partial(_stop_is_retried, bench)][:count]:
        yield Trial(check)


def _hang_is_named_in_time(bench: Bench, kind: str, folder: Path) -> None:
    _saw_until_named(bench, hang_is_skipped(kind, folder))


def hang_is_skipped(kind: str, folder: Path) -> Pair:
    """A run that hangs is named, ended and skipped; the other one is complete."""
    pair = greedy_pair(folder, kind, hang_seconds=SILENT_SECONDS)
    done = pair.finish("--recovery", "skip")
    assert done.code == EXIT_CODES["skip"], done
    _check_was_ended(pair)
    assert "no sign of life" in done.stderr
    log = (pair.root / "logs" / "baseline_training.log").read_text()
    assert "greedy_environments.py" in log  # where it hung
    assert pair.run_results()["variant"]["status"] == "completed"
    return pair


def _stop_is_retried(bench: Bench, folder: Path) -> None:
    pair = greedy_pair(
        folder, "none", baseline={"training_steps": 5000}, hang_seconds=SILENT_SECONDS
    )
    command = pair.start("--mode", "parallel", "--recovery", "retry")
    os.kill(pair.worker(), signal.SIGSTOP)
    done = command.done()
    assert done.code == 0, done
    _check_was_ended(pair)
    attempts = {arm: run["attempts"] for arm, run in pair.run_results().items()}
    assert attempts == {"baseline": 2, "variant": 1}
    _saw_until_named(bench, pair)


def _check_was_ended(pair: Pair) -> None:
    [(how, cause)] = pair.ends()
    assert how == "hang"
    assert "no sign of life for" in cause


def _saw_until_named(bench: Bench, pair: Pair) -> None:
    """From the start of its first attempt, in which it hangs almost at once, to its end."""
    times: dict[str, float] = {}
    for event in pair.events():
        times.setdefault(event["kind"], event["time"])
    seconds = times["attempt_ended"] - times["attempt_started"]
    bench.saw("s until a hang is named", seconds, SILENT_SECONDS + MOST_SECONDS_MORE)
