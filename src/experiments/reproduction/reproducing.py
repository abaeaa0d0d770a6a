"""Recreate the code, train again, compare: from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from ..domain.errors import UsageError
from ..durability.files import write_json
from .comparing import RunCheck, compare_run
from .intention import Intention
from .places import Place, at_hand, in_worktree
from .rerunning import Onlooker, PlacedRunner, train_again
from .worktree import recreated

CODE = "code"
EXPERIMENT_FILE = "experiment.json"
OUTPUT = "output.txt"


@dataclass(frozen=True)
class Reproduction:
    """What came of it."""

    intention: Intention
    checks: tuple[RunCheck, ...]
    remarks: tuple[str, ...]
    """What is not as it was about the code that trained."""

    @property
    def is_identical(self) -> bool:
        """Whether every run came out in the same bits."""
        return all(check.is_identical for check in self.checks)

    @property
    def causes(self) -> tuple[str, ...]:
        """What may have led to other bits, likeliest first."""
        around = self.intention.surroundings
        changes = (*around.deciding, *around.machine, *around.other)
        departures = (check.departure for check in self.checks)
        known = dict.fromkeys(each.cause for each in departures if each and each.cause)
        return (*known, *self.intention.caveats, *self.remarks, *map(str, changes))


def reproduce(intention: Intention, onlooker: Onlooker) -> Reproduction:
    """Train an experiment again by the code that trained it, and compare.

    Raises:
        UsageError: when the code cannot be recreated, or versions differ that decide the bits.
        TrainingError: when the reproduction leaves no results.
    """
    check_versions(intention)
    plan = intention.plan
    with _place(intention, onlooker) as place:
        for remark in place.remarks:
            onlooker.tell(remark)
        onlooker.poll()
        onlooker.doing("training again")
        train_again(_runner(intention, place), plan.again, onlooker)
    onlooker.doing("comparing")
    checks = tuple(compare_run(plan.original, plan.again, run) for run in intention.runs)
    return Reproduction(intention, checks, place.remarks)


def check_versions(intention: Intention) -> None:
    """Refuse to train with other packages than those that decided the bits.

    Raises:
        UsageError: naming them, and how to have the recorded ones.
    """
    deciding = intention.surroundings.deciding
    if not deciding or intention.plan.anyway:
        return
    packages = intention.plan.original.provenance / "packages.txt"
    python = next((each.recorded for each in deciding if each.name == "Python"), None)
    environment = f"in an environment of {python}: " if python else ""
    raise UsageError(
        "versions that decide the bits differ (recorded → here): " + ", ".join(map(str, deciding)),
        where=str(packages),
        remedy=f"{environment}pip install -r {packages}; or go on with those here: --anyway",
    )


@contextmanager
def _place(intention: Intention, onlooker: Onlooker) -> Iterator[Place]:
    plan, code = intention.plan, intention.recorded.code
    if code is None:
        yield at_hand(intention.recorded)
        return
    onlooker.doing("recreating the code")
    folder = plan.folder / CODE
    with recreated(code, plan.repository, folder, stays=plan.keeps_code) as root:
        yield in_worktree(intention.recorded, root)


def _runner(intention: Intention, place: Place) -> PlacedRunner:
    plan = intention.plan
    file = plan.folder.resolve() / EXPERIMENT_FILE
    write_json(file, intention.document)
    results = plan.results.resolve()
    modules = (("--allow-env-module", each) for each in intention.recorded.modules)
    arguments = ["--config", str(file), "--output-dir", str(results), *plan.options]
    return PlacedRunner(
        place,
        [*arguments, *chain.from_iterable(modules)],
        plan.folder / OUTPUT,
        intention.environment,
    )
