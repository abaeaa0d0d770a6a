"""Where the code that trains again is, and how Python finds it there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import UsageError
from ..durability.files import make_directory
from ..provenance import Recorded
from ..provenance.code import PACKAGE, source_sha256
from ..verification.runner_process import RUNNER

_ROOT = Path(__file__).parents[PACKAGE.count(".") + 2]
"""Where this program is found under its own name."""


@dataclass(frozen=True)
class Place:
    """A working directory, a search path, and the module that is started."""

    directory: Path
    search_path: tuple[str, ...]
    runner: str
    remarks: tuple[str, ...] = ()
    """What is not as it was."""

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """A process's environment in which Python finds this code first, and tells no tracker."""
        path = {"PYTHONPATH": os.pathsep.join(self.search_path)}
        return {**variables, **path, "USE_CLEARML": "false"}


def at_hand(recorded: Recorded) -> Place:
    """The code that runs here and now."""
    entries = (os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 - "" is here
    return Place(Path.cwd(), tuple(entries), RUNNER, tuple(_remarks(recorded, Path.cwd(), None)))


def in_worktree(recorded: Recorded, root: Path) -> Place:
    """The recreated code, and this program's own where the repository does not hold it.

    Raises:
        UsageError: when a module of environments was in the repository, and is not in the code.
    """
    _check_modules(recorded, root)
    prefix = recorded.code.prefix if recorded.code else ""
    roots = [root / each for each in dict.fromkeys((prefix or ".", *recorded.import_roots))]
    program = _program_in(recorded, root)
    if program is not None:
        roots.insert(0, program.root)
    search = [*roots, *map(Path, recorded.imports_elsewhere)]
    if program is None:
        search.append(_ROOT)
    make_directory(root / prefix)  # it may have held nothing that git tracks
    return Place(
        directory=root / prefix,
        search_path=tuple(str(each) for each in search if each.is_dir()),
        runner=RUNNER if program is None else f"{program.package}.runner",
        remarks=tuple(_remarks(recorded, root, program)),
    )


@dataclass(frozen=True)
class _Program:
    """This program in a repository."""

    package: str
    folder: Path

    @property
    def root(self) -> Path:
        """The directory from which its name leads to it."""
        return self.folder.parents[self.package.count(".")]


def _program_in(recorded: Recorded, root: Path) -> _Program | None:
    directory = recorded.program.get("directory")
    if directory is None:
        return None
    found = _Program(str(recorded.program["package"]), root / str(directory))
    return found if (found.folder / "runner.py").is_file() else None


def _remarks(recorded: Recorded, root: Path, program: _Program | None) -> Iterator[str]:
    before = recorded.program.get("sha256")
    folder = Path(__file__).parents[1] if program is None else program.folder
    if before is not None and source_sha256(folder) != before:
        which = "this program, as it is here," if program is None else "the recreated program"
        yield f"{which} is not the one that trained: its source has a different digest"
    if (root / ".gitmodules").is_file():
        yield "the repository has submodules, and these are not checked out"


def _check_modules(recorded: Recorded, root: Path) -> None:
    for name, file in recorded.modules.items():
        if file is not None and not (root / file).is_file():
            raise UsageError(
                f"module {name} is not in the recreated code: {file} was not committed, and was"
                " ignored by git or too large to be recorded",
                where=str(root),
                remedy="commit it, and run what is to be reproduced after that",
            )
