"""What `verify-resume` shows while it kills, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from ..analysis.text import listed
from ..config import ExperimentConfig
from ..domain.errors import UsageError
from ..verification import ArmCheck, Audience, Plan, ShortPair, Verification, verify
from . import screen, wording
from .failures import ExitCode
from .json_output import write_object
from .scratch import temporary_folder
from .signals import Stopped, stopping

FEWEST_STEPS = 60
GUIDE = "docs/guides/verifying-resume.md"
_STYLES = {"exact": "green", "approximate": "yellow"}


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    kills: int
    steps: int | None
    keeps: bool
    json: bool
    verbosity: int


def check_counts(kills: int, steps: int | None) -> None:
    """Refuse numbers with which nothing could be shown.

    Raises:
        UsageError: naming the option.
    """
    if kills < 1:
        raise UsageError(f"--kills must be at least 1, got {kills}", remedy="use --kills 1")
    if steps is not None and steps < FEWEST_STEPS:
        raise UsageError(
            f"--steps must be at least {FEWEST_STEPS}, got {steps}",
            remedy="leave it out, and just enough are trained",
        )


def tell_whether_exact(config: ExperimentConfig, wanted: Wanted) -> int:
    """Verify, and print what came of it; returns the exit code.

    Raises:
        ExperimentsError: for everything that the user can act on.
        Stopped: when a signal has stopped it.
    """
    people = screen.human_console(json=wanted.json)
    name = config.experiment_id or "the experiment"
    people.print(Text(f"{name}: trained in short, undisturbed and under kills", style="bold"))
    with temporary_folder("verify-resume-", json=wanted.json) as folder:
        plan = Plan(config, folder.path, wanted.kills, wanted.steps)
        verification = _verified(plan, people, wanted.verbosity)
        folder.stays = wanted.keeps or not verification.is_exact
    _print_checks(people, verification)
    if folder.stays:
        people.print(Text(f"kept in {wording.printable(folder.path)}"), soft_wrap=True)
    code = ExitCode.COMPLETE if verification.is_exact else ExitCode.FAILED
    if wanted.json:
        kept = str(folder.path) if folder.stays else None
        identity = {"experiment_id": config.experiment_id, **_as_json(verification, wanted.kills)}
        write_object({**identity, "kept": kept, "exit_code": code})
    return code


def _verified(plan: Plan, people: Console, verbosity: int) -> Verification:
    """Verify under a line that says what is done; the first signal stops it."""
    received: list[int] = []

    def stop_if_asked() -> None:
        if received:
            raise Stopped(received[0])

    def tell(text: str) -> None:
        people.print(Text(wording.printable(text)), soft_wrap=True)

    def tell_command(words: Sequence[str]) -> None:
        if verbosity:
            tell(shlex.join(words))

    with people.status("reading the file") as status, stopping(received.append):
        audience = Audience(
            prepared=lambda pair: _print_pair(people, pair),
            doing=lambda text: status.update(Text(wording.printable(text))),
            tell=tell,
            started=tell_command,
            poll=stop_if_asked,
        )
        return verify(plan, audience)


def _print_pair(people: Console, pair: ShortPair) -> None:
    plan = pair.config
    people.print(
        f"seed {plan.seed_list[0]}, {pair.steps:,} steps per arm, a checkpoint every "
        f"{plan.checkpoint.frequency:,}"
    )
    for arm, changes in pair.changes.items():
        smaller = ", ".join(
            f"{name} {wording.setting(before)} → {wording.setting(after)}"
            for name, (before, after) in changes.items()
        )
        if smaller:
            people.print(Text(f"{arm}, shortened: {smaller}", style="dim"))


def _print_checks(people: Console, verification: Verification) -> None:
    people.print()
    for check in verification.checks:
        steps = listed([f"{step:,}" for step in check.resumed_from_steps], " and ")
        told = "exact" if check.is_exact else "approximate"
        people.print(
            Text(f"{check.run.arm}: {told}, resumed from step {steps}", style=_STYLES[told])
        )
        for line in _grounds(check):
            people.print(Text(f"  {wording.printable(line)}"))
    people.print()
    if verification.is_exact:
        people.print(Text("exact: being killed and continued changed nothing", style="green"))
    else:
        people.print(Text(f"not exact in every arm; {GUIDE} says what to do", style="yellow"))


def _grounds(check: ArmCheck) -> Iterator[str]:
    """What the outcome of an arm rests on."""
    if check.is_exact:
        yield f"the same: {', '.join(check.compared)}"
        return
    yield f"because {check.reason}"
    if check.why_inexact is not None:
        yield f"first difference: {check.mismatch or 'none in what was compared'}"


def _as_json(verification: Verification, kills: int) -> dict[str, Any]:
    """The same for a program."""
    pair = verification.pair
    shortened = {
        arm: {name: {"before": before, "after": after} for name, (before, after) in each.items()}
        for arm, each in pair.changes.items()
    }
    return {
        "status": "exact" if verification.is_exact else "approximate",
        "seed": pair.config.seed_list[0],
        "steps": pair.steps,
        "checkpoint_frequency": pair.config.checkpoint.frequency,
        "kills_per_arm": kills,
        "shortened": shortened,
        "arms": {check.run.arm: check.to_dict() for check in verification.checks},
    }
