"""What `reproduce` shows: what will be done, the runs while they train, what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from ..domain.errors import ExperimentsError, UsageError
from ..domain.paths import ExperimentPaths
from ..provenance import read_provenance
from ..reproduction import Intention, Onlooker, Plan, Reproduction, intend, reproduce
from . import screen, stored
from .continuing import chosen_in
from .displays import display_for, warn
from .failures import ExitCode
from .following import Follower
from .json_output import write_object
from .scratch import Folder, temporary_folder
from .signals import Stopped, stopping
from .watching import Notices, Watcher, logged_to
from .wording import plural, printable

GUIDE = "docs/guides/reproducing.md"
SHOWN = 5
"""Packages, files and causes that are listed without -v."""
COMMIT_DIGITS = 12
_CARRIED_OVER = ("--mode", "--max-workers")
"""Options of the original command that hold again: they change no bit, and the time it takes."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    experiment_id: str
    output_dir: Path
    repository: Path
    into: Path | None
    seeds: tuple[int, ...]
    anyway: bool
    keeps: bool
    json: bool
    verbosity: int


def tell_whether_reproduced(wanted: Wanted) -> int:
    """Reproduce, and print what came of it; returns the exit code.

    Raises:
        ExperimentsError: for everything that the user can act on.
        Stopped: when a signal has stopped it.
    """
    original = stored.find(wanted.output_dir, wanted.experiment_id)
    _check_free(wanted)
    people = screen.human_console(json=wanted.json)
    with temporary_folder("reproduce-", json=wanted.json, results=wanted.into) as folder:
        intention = intend(_plan(wanted, original, folder))
        _print_intention(people, intention, wanted)
        reproduction = _reproduced(intention, people, wanted)
        is_temporary = wanted.into is None
        folder.stays = wanted.keeps or (is_temporary and not reproduction.is_identical)
    _print_checks(people, reproduction, wanted)
    kept = _kept(wanted, intention, folder)
    for name, path in kept.items():
        people.print(Text(f"{name:<8} {printable(path)}"), soft_wrap=True)
    code = ExitCode.COMPLETE if reproduction.is_identical else ExitCode.FAILED
    if wanted.json:
        write_object({**_as_json(reproduction), "kept": kept, "exit_code": code})
    return code


def _plan(wanted: Wanted, original: ExperimentPaths, folder: Folder) -> Plan:
    chosen = chosen_in(read_provenance(original).command)
    options = [
        word for name in _CARRIED_OVER for value in chosen.get(name, ()) for word in (name, value)
    ]
    return Plan(
        original=original,
        folder=folder.path,
        results=wanted.into or folder.path / "results",
        repository=wanted.repository,
        seeds=wanted.seeds,
        modules=tuple(chosen.get("--allow-env-module", ())),
        options=tuple(options),
        anyway=wanted.anyway,
        keeps_code=wanted.keeps,
    )


def _check_free(wanted: Wanted) -> None:
    """Refuse a place that is taken, before anything is done."""
    if wanted.into is None:
        return
    place = ExperimentPaths.under(wanted.into, wanted.experiment_id).root
    if place.exists() or (wanted.into.exists() and not wanted.into.is_dir()):
        raise UsageError(
            "something is there already",
            where=f"--into {place if place.exists() else wanted.into}",
            remedy="name another directory",
        )


# ---- while it trains


def _reproduced(intention: Intention, people: Console, wanted: Wanted) -> Reproduction:
    """Reproduce under a view of the runs; the first signal stops it."""
    received: list[int] = []

    def stop_if_asked() -> None:
        if received:
            raise Stopped(received[0])

    def tell_command(words: Sequence[str]) -> None:
        if wanted.verbosity:
            people.print(Text(printable(shlex.join(words))), soft_wrap=True)

    with people.status("reading what was recorded") as status, stopping(received.append):
        onlooker = Onlooker(
            doing=lambda text: status.update(Text(printable(text))),
            tell=lambda text: _note(people, text),
            started=tell_command,
            poll=stop_if_asked,
            watching=lambda paths: _watched(paths, people, status),
        )
        return reproduce(intention, onlooker)


@contextmanager
def _watched(paths: ExperimentPaths, people: Console, status: Status) -> Iterator[None]:
    """The runs as `run` shows them, read from the files of the other process."""
    try:
        follower = Follower(paths)
    except ExperimentsError as error:  # other code may write other files; it trains all the same
        warn(f"the runs cannot be watched: {error}")
        yield
        return
    status.stop()  # a terminal has one live view at a time
    notices = Notices()
    with logged_to(notices), Watcher(follower.snapshot, display_for(people, json=False), notices):
        yield
    status.start()


# ---- what is said


def _print_intention(people: Console, intention: Intention, wanted: Wanted) -> None:
    """What will be done, and what speaks against the same bits."""
    name = intention.plan.original.experiment_id
    people.print(Text(f"{printable(name)}: {_code(intention)}", style="bold"), soft_wrap=True)
    if intention.recorded.code is None:
        _note(people, "no commit was recorded: it is trained with the code at hand")
    else:
        _line(people, "code", "in a worktree of its own; your files, index and branches stay")
    runs = [run.name for run in intention.runs]
    _line(people, "runs", _shortened(runs, wanted.verbosity))
    for caveat in intention.caveats:
        _note(people, caveat)
    for difference in _differences(intention, wanted.verbosity):
        _note(people, difference)
    people.print()


def _code(intention: Intention) -> str:
    """From which code, in words."""
    code = intention.recorded.code
    if code is None:
        return "trained again"
    branch = f" ({printable(code.branch)})" if code.branch else ""
    changes = code.diff.read_bytes().count(b"\ndiff --git ") + 1 if _has(code.diff) else 0
    parts = [f"trained again at commit {code.commit[:COMMIT_DIGITS]}{branch}"]
    if changes:
        parts.append(f"{plural(changes, 'file')} changed")
    if code.untracked_files:
        parts.append(f"{plural(len(code.untracked_files), 'untracked file')}")
    return ", ".join(parts)


def _has(patch: Path) -> bool:
    return patch.is_file() and patch.stat().st_size > 0


def _differences(intention: Intention, verbosity: int) -> Iterator[str]:
    around, code = intention.surroundings, intention.recorded.code
    if around.deciding:
        yield f"versions that decide the bits differ: {', '.join(map(str, around.deciding))}"
    if around.other:
        listed = _shortened([str(each) for each in around.other], verbosity)
        yield f"other packages differ, which should not matter: {listed}"
    for change in around.machine:
        yield f"{change}: a possible cause of different bits"
    left = sorted(set(code.untracked_names) - set(code.untracked_files)) if code else []
    if left:
        yield f"untracked files that were not recorded: {_shortened(left, verbosity)}"


def _print_checks(people: Console, reproduction: Reproduction, wanted: Wanted) -> None:
    people.print()
    for check in reproduction.checks:
        style = "green" if check.is_identical else "yellow"
        people.print(
            Text(f"{check.run.name}: {printable(check.verdict)}", style=style), soft_wrap=True
        )
    people.print()
    same = sum(check.is_identical for check in reproduction.checks)
    told = f"{same} of {plural(len(reproduction.checks), 'run')} identical"
    if reproduction.is_identical:
        people.print(Text(f"reproduced: {told}, bit for bit", style="green"))
        return
    told = f"not reproduced: {told}; {GUIDE} says what to do"
    people.print(Text(told, style="yellow"), soft_wrap=True)
    causes = reproduction.causes or ("none is known: training may never come out the same twice",)
    for cause in causes if wanted.verbosity else causes[:SHOWN]:
        _line(people, "cause?", cause)


def _kept(wanted: Wanted, intention: Intention, folder: Folder) -> dict[str, str]:
    """What is left, and where."""
    kept = {}
    if wanted.keeps and intention.recorded.code is not None:
        kept["code"] = str(folder.path / "code")
    if folder.stays or wanted.into is not None:
        kept["results"] = str(intention.plan.again.root)
    return kept


def _shortened(items: Sequence[str], verbosity: int) -> str:
    shown = items if verbosity else items[:SHOWN]
    more = f" and {len(items) - len(shown)} more" if len(shown) < len(items) else ""
    return f"{', '.join(printable(each) for each in shown)}{more}"


def _line(people: Console, name: str, text: str) -> None:
    people.print(Text(f"{name:<8} {printable(text)}"), soft_wrap=True)


def _note(people: Console, text: str) -> None:
    people.print(Text(f"{'note':<8} {printable(text)}", style="yellow"), soft_wrap=True)


def _as_json(reproduction: Reproduction) -> dict[str, Any]:
    """The same for a program."""
    intention = reproduction.intention
    code = intention.recorded.code
    return {
        "experiment_id": intention.plan.original.experiment_id,
        "status": "identical" if reproduction.is_identical else "different",
        "commit": None if code is None else code.commit,
        "branch": None if code is None else code.branch,
        "surroundings": intention.surroundings.to_dict(),
        "caveats": [*intention.caveats, *reproduction.remarks],
        "runs": {check.run.name: check.to_dict() for check in reproduction.checks},
        "causes": [] if reproduction.is_identical else list(reproduction.causes),
    }
