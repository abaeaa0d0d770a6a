"""Which code was imported, and from where: the program itself, and the environments' modules."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

PACKAGE = __package__.rpartition(".")[0]
"""This program as it is imported: `experiments` where installed, `src.experiments` in a clone."""
_FOLDER = Path(__file__).parents[1]


def program(root: Path | None) -> dict[str, Any]:
    """The program that trains: its name, its place in the repository, a digest of its source.

    Args:
        root: of the repository, where there is one.
    """
    return {
        "package": PACKAGE,
        "directory": _relative(_FOLDER, root),
        "sha256": source_sha256(_FOLDER),
    }


def source_sha256(folder: Path) -> str:
    """SHA-256 of a package's Python files: sorted names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def environment_modules(names: Sequence[str], root: Path | None) -> dict[str, Any]:
    """The modules that were allowed, with their file: in the repository, else None."""
    return {name: {"file": _relative(_file_of(name), root)} for name in names}


def import_roots(names: Sequence[str], root: Path | None) -> dict[str, list[str]]:
    """Where modules are looked for, besides Python's own places.

    In the `repository`: directories relative to its root. `elsewhere`: what PYTHONPATH names.

    Args:
        names: of the environments' modules, which may be found by other means than `sys.path`.
        root: of the repository, where there is one.
    """
    searched = [path for path in map(Path, sys.path) if path.is_dir()]
    inside = [*searched, *filter(None, (_root_of(name) for name in names))]
    named = [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    relative = (_relative(each, root) for each in inside)
    return {
        "repository": list(dict.fromkeys(each for each in relative if each is not None)),
        "elsewhere": [str(each.resolve()) for each in named if _relative(each, root) is None],
    }


def _relative(path: Path | None, root: Path | None) -> str | None:
    """The path in the repository; None of what is not in it, or is installed in this Python."""
    if path is None or root is None:
        return None
    resolved, installed = path.resolve(), virtual_environment(root)
    if not resolved.is_relative_to(root) or (installed and resolved.is_relative_to(installed)):
        return None
    return resolved.relative_to(root).as_posix()


def virtual_environment(root: Path) -> Path | None:
    """The directory of this Python, where that lies inside a repository, as `.venv` does."""
    prefix = Path(sys.prefix).resolve()
    return prefix if prefix != root and prefix.is_relative_to(root) else None


def _file_of(name: str) -> Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    return None if file is None else Path(file)


def _root_of(name: str) -> Path | None:
    """The directory from which a module's name leads to its file."""
    file = _file_of(name)
    if file is None:
        return None
    return next(_roots(file, name), None)


def _roots(file: Path, name: str) -> Iterator[Path]:
    parts = tuple(name.split("."))
    for module in (file.with_suffix(""), file.parent if file.stem == "__init__" else None):
        if module is not None and PurePosixPath(module).parts[-len(parts) :] == parts:
            yield module.parents[len(parts) - 1].resolve()
