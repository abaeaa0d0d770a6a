"""What `clean` does, from top to bottom: look, list, ask, remove, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..cleaning import (
    EVERYTHING,
    WORKSPACE_KINDS,
    Findings,
    Kept,
    Kind,
    Outcome,
    Selection,
    Tally,
    Tree,
    check_workspace,
    find_in_experiment,
    find_in_workspace,
    remove_from_experiment,
    remove_from_workspace,
)
from ..domain.errors import UsageError
from ..domain.units import KIB, MIB
from . import stored, tables
from .failures import ExitCode
from .json_output import write_object
from .screen import results_console
from .wording import megabytes, plural, printable

NAMES_SHOWN = 5
_FIGURES = ("files", "size")
_KINDS = {
    "models": "final policies",
    "figures": "the report's page and its pictures",
    "checkpoints": "what runs resume from, and attempts' copies of models",
    "trackers": "W&B runs and TensorBoard files",
    "unsynced": "offline W&B runs that were never synced: the only copy",
    "logs": "what was logged and printed",
    "caches": "bytecode, and temporary files left by a kill",
    "records": "results, metrics, journals, configuration",
}
_WORKSPACE_KINDS = {
    "figures": ".png and .html files",
    "checkpoints": ".pt files",
    "trackers": "W&B runs",
    "caches": "bytecode in __pycache__",
}
"""Where a workspace's differ."""


@dataclass(frozen=True)
class Request:
    """A command line that asks for something to be removed."""

    experiment_id: str | None
    output_dir: Path
    workspace: Path | None
    kinds: frozenset[Kind]
    """Chosen one by one."""
    everything: bool = False
    unfinished: bool = False
    changed: bool = False
    yes: bool = False
    dry_run: bool = False
    json: bool = False
    verbose: bool = False

    @property
    def selection(self) -> Selection:
        """What is to be removed; offline runs that were never synced have to be chosen as such."""
        there = EVERYTHING if self.workspace is None else EVERYTHING & WORKSPACE_KINDS
        kinds = self.kinds | (there if self.everything else frozenset())
        return Selection(kinds, self.changed, self.unfinished)

    @property
    def removes_unasked(self) -> bool:
        """Whether nobody is to be asked."""
        return self.yes and not self.dry_run


def carry_out(request: Request) -> int:
    """List what there is, and remove what is selected once that is confirmed; the exit code.

    Raises:
        ExperimentsError: for everything that the user can act on.
    """
    if (request.experiment_id is None) == (request.workspace is None):
        given = "neither an id nor" if request.workspace is None else "both an id and"
        raise UsageError(
            f"{given} --workspace given",
            remedy="experiments clean ID for an experiment, --workspace DIR for a project",
        )
    if request.removes_unasked and not request.selection.kinds:
        raise UsageError(
            "--yes does not say what to remove",
            remedy="add kinds such as --checkpoints, or --all; without --yes they are listed",
        )
    if request.workspace is not None:
        return _clean_workspace(request.workspace, request)
    return _clean_experiment(str(request.experiment_id), request)


def _clean_experiment(experiment_id: str, request: Request) -> int:
    paths, selection = stored.find(request.output_dir, experiment_id), request.selection
    with Tree(request.output_dir, experiment_id) as tree:
        findings = find_in_experiment(tree, experiment_id, selection)
        subject = {"experiment_id": experiment_id, "results_dir": str(paths.root)}
        return _clean(
            request,
            subject,
            findings,
            lambda: remove_from_experiment(tree, paths, findings, selection),
        )


def _clean_workspace(workspace: Path, request: Request) -> int:
    _check_workspace_options(request)
    check_workspace(workspace)
    with Tree(workspace) as tree:
        findings = find_in_workspace(tree)
        return _clean(
            request,
            {"workspace": str(workspace)},
            findings,
            lambda: remove_from_workspace(tree, findings, request.selection),
        )


def _check_workspace_options(request: Request) -> None:
    named = [option(kind) for kind in sorted(request.kinds - WORKSPACE_KINDS)]
    flags = {"--changed": request.changed, "--unfinished": request.unfinished}
    named += [name for name, is_given in flags.items() if is_given]
    if named:
        raise UsageError(
            f"{', '.join(named)} cannot be combined with --workspace",
            remedy=f"use {', '.join(option(kind) for kind in sorted(WORKSPACE_KINDS))} or --all",
        )


def option(kind: Kind) -> str:
    """What selects a kind."""
    return "--all" if kind is Kind.RECORDS else f"--{kind.value}"


def _clean(
    request: Request,
    subject: Mapping[str, str],
    findings: Findings,
    remove: Callable[[], Outcome],
) -> int:
    """List, ask, remove, tell; the exit code."""
    if request.json:
        outcome = remove() if request.removes_unasked else None
        return _write_json(request, subject, findings, outcome)
    screen = results_console()
    _print_findings(screen, request, findings)
    if not _is_confirmed(screen, request, findings):
        return ExitCode.COMPLETE
    return _print_outcome(screen, request, remove(), next(iter(subject.values())))


def _is_confirmed(screen: Console, request: Request, findings: Findings) -> bool:
    """Whether the selected files are to go; where not, it is said what would select them."""
    if not request.selection.kinds:
        options = [option(kind) for kind in findings.tallies()]
        what = f"nothing is removed; select with {', '.join(options)}"
        _say(screen, what if options else "there is nothing to remove")
        return False
    selected = Tally.of(findings.selected(request.selection))
    if not selected.files:
        _say(screen, "there is nothing of these kinds to remove")
        return False
    if request.yes or request.dry_run:
        return request.removes_unasked
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        _say(screen, f"nothing is removed without --yes: {_amount(selected)}")
        return False
    whole = "the experiment itself, " if request.selection.is_whole else ""
    screen.print(f"remove {whole}{_amount(selected)}? [y/N] ", end="")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    _say(screen, "nothing is removed")
    return False


# ---- for people


def _print_findings(screen: Console, request: Request, findings: Findings) -> None:
    words = _KINDS if request.workspace is None else {**_KINDS, **_WORKSPACE_KINDS}
    tallies, chosen = findings.tallies(), request.selection.kinds
    plan = ["plan"] if chosen else []
    overview = tables.table("kind", "files", "size", *plan, "option", "what", right=_FIGURES)
    for kind, tally in tallies.items():
        is_chosen = kind in chosen
        tables.row(
            overview,
            kind.value,
            f"{tally.files:,}",
            _size(tally),
            *(["remove" if is_chosen else "keep"] if plan else []),
            option(kind),
            words[kind.value],
            style="dim" if plan and not is_chosen else "",
        )
    if tallies:
        screen.print(overview)
    for line in kept_lines(findings.kept, None if request.verbose else NAMES_SHOWN):
        _say(screen, line, style="yellow")


def kept_lines(kept: Iterable[Kept], most_names: int | None) -> Iterator[str]:
    """What stays, a line for each reason."""
    groups: dict[tuple[str, str | None], list[str]] = {}
    for each in kept:
        groups.setdefault((each.why, each.option), []).append(each.path)
    for (why, option), names in groups.items():
        shown = names[:most_names]
        more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
        also = f"; {option} removes it too" if option else ""
        yield f"stays    {', '.join(shown)}{more}: {why}{also}"


def _print_outcome(screen: Console, request: Request, outcome: Outcome, subject: str) -> int:
    _say(screen, f"removed {_amount(outcome.tally)}")
    for failure in outcome.failed:
        _say(screen, f"problem  {failure.path}: {failure.why}", style="red")
    if request.selection.is_whole:
        rest = "is gone" if outcome.is_whole else "is still there, with what is left of it"
        _say(screen, f"{subject} {rest}")
    return ExitCode.FAILED if outcome.failed else ExitCode.COMPLETE


def _amount(tally: Tally) -> str:
    return f"{plural(tally.files, 'file')}, {_size(tally)}"


def _size(tally: Tally) -> str:
    if tally.bytes < MIB:
        return f"{tally.bytes / KIB:,.0f} KiB"
    return megabytes(tally.bytes / MIB)


def _say(screen: Console, text: str, style: str = "") -> None:
    screen.print(Text(printable(text), style=style), soft_wrap=True)


# ---- for programs


def _write_json(
    request: Request, subject: Mapping[str, str], findings: Findings, outcome: Outcome | None
) -> int:
    failed = [] if outcome is None else [asdict(failure) for failure in outcome.failed]
    exit_code = ExitCode.FAILED if failed else ExitCode.COMPLETE
    content: dict[str, Any] = {
        **subject,
        "kinds": {
            kind.value: {**asdict(tally), "selected": kind in request.selection.kinds}
            for kind, tally in findings.tallies().items()
        },
        "kept": [asdict(each) for each in findings.kept],
        "removed": None if outcome is None else asdict(outcome.tally),
        "failed": failed,
        "exit_code": exit_code,
    }
    write_object(content)
    return exit_code
