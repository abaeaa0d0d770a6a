"""Servers of trackers that are gone, refuse, break, die or freeze: training does not notice."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.doubles.remotes import REMOTES, Remote, closed_port
from tests.waiting import wait_until

from ..command import Command, Done
from ..figures import Bench, Trial
from ..pair import Pair, document
from ..promises import Undisturbed

MOST_SECONDS_ADDED = 30.0
INCOMPLETE = 5
PROGRAM = "src.experiments"
METRIC = "rollouts/returns_mean"
STEPS = 9000
"""A pair of these trains for some seconds, in which trackers are told while it goes on."""

FAULTS = ("unreachable", "unauthorised", "broken", "killed", "frozen")


def failing_servers(bench: Bench, count: int) -> Iterator[Trial]:
    """Each fault of each tracker's server."""
    faults = [(tracker, fault) for fault in FAULTS for tracker in REMOTES]
    for tracker, fault in faults[:count]:
        yield Trial(partial(_training_does_not_notice, bench, tracker, fault))


def _training_does_not_notice(bench: Bench, tracker: str, fault: str, folder: Path) -> None:
    undisturbed = _told_to_nobody(bench)
    with REMOTES[tracker](folder) as remote:
        pair = Pair(folder / "pair", _document(), environment=_environment(remote, fault))
        done, seconds = _train(pair, remote, fault)
        bench.saw("s added at the end", seconds, MOST_SECONDS_ADDED)
        assert done.code == INCOMPLETE, done
        assert f"upload to {tracker} is incomplete" in done.stderr
        assert pair.shas() == undisturbed.shas
        for run, journal in undisturbed.journals.items():
            undisturbed.check_journal(pair, run, journal)
        assert _entry(pair, tracker)["state"] == "pending"
        _check_told_later(pair, remote, fault)


def _told_to_nobody(bench: Bench) -> Undisturbed:
    pair = partial(Pair, bench.folder / "told-to-nobody", _document())
    return bench.once("told to nobody", lambda: Undisturbed.by_training(pair()))


def _document() -> dict:
    return document(baseline={"training_steps": STEPS})


def _environment(remote: Remote, fault: str) -> dict[str, str]:
    match fault:
        case "unreachable":
            nowhere = closed_port()
            found = {
                name: nowhere if value.startswith("http") else value
                for name, value in remote.environment.items()
            }
        case "unauthorised":
            found = dict(remote.wrong_keys)
        case _:
            found = dict(remote.environment)
    return found


def _train(pair: Pair, remote: Remote, fault: str) -> tuple[Done, float]:
    """How the command ended, and how long after its report was complete."""
    command = pair.start("--tracker", remote.tracker)
    if fault in ("broken", "killed", "frozen"):
        wait_until(lambda: any(each for _, each in remote.series(METRIC)), "one is told")
        assert command.process.poll() is None, "it ended before the server failed"
        _fail(remote, fault)
    done = command.done()
    return done, time.time() - (pair.root / "report" / "index.html").stat().st_mtime


def _fail(remote: Remote, fault: str) -> None:
    match fault:
        case "broken":
            remote.refuse(500)
        case "killed":
            remote.signal(signal.SIGKILL)
        case "frozen":
            remote.signal(signal.SIGSTOP)


def _check_told_later(pair: Pair, remote: Remote, fault: str) -> None:
    """With a server that is well again, a later telling completes, and another one adds nothing."""
    match fault:
        case "broken":
            remote.refuse(200)
        case "killed":
            remote.restart()
        case "frozen":
            remote.signal(signal.SIGCONT)
    expected = {
        run: [
            (record["step"], record["metrics"][METRIC])
            for record in pair.journal(run)
            if METRIC in record.get("metrics", {})
        ]
        for run in pair.runs()
    }
    before = None
    for _ in range(2):
        done = _sync(pair, remote)
        assert done.code == 0, done
        told = remote.series(METRIC)
        assert len(told) == len(expected), f"a run is there twice: {told}"
        distinct = {name.rpartition(" ")[2]: sorted(set(points)) for name, points in told}
        assert distinct == expected
        before = before or told
        assert told == before, "the second telling told something twice"
    assert "nothing is new" in done.stderr + done.stdout
    assert _entry(pair, remote.tracker)["state"] == "complete"


def _sync(pair: Pair, remote: Remote) -> Done:
    program = [sys.executable, "-m", PROGRAM, "sync", str(pair.root), "--to", remote.tracker]
    return Command(program, pair.next_stem(), dict(remote.environment)).done()


def _entry(pair: Pair, tracker: str) -> dict:
    ledger = json.loads((pair.root / "tracking" / "ledger.json").read_text())
    return ledger["trackers"][tracker]
