"""The note that says what was removed on purpose: what is gone is then not missing."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import UsageError
from ..domain.life import now
from ..domain.paths import AttemptPaths, ExperimentPaths
from ..durability.files import json_text
from .kinds import NOTE
from .tree import Tree

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class RemovedFile:
    """A file that was removed, or was about to be when the command was killed."""

    path: str
    kind: str
    size: int
    sha256: str | None
    """None where the manifest did not list it."""
    time: str


def cleaned_files(paths: ExperimentPaths) -> frozenset[Path]:
    """The files of an experiment that were removed on purpose, whether they are there again or not.

    A note that cannot be read counts as none, with a warning.
    """
    try:
        with Tree(paths.root) as tree:
            return frozenset(paths.root / path for path in read_note(tree))
    except UsageError:
        return frozenset()


def has_model(cleaned: Collection[Path], model: Path, attempt: AttemptPaths) -> bool:
    """Whether a run's model lies under its final name, or was removed on purpose.

    What its attempt left of it counts too, as the final name changes when seeds are added.
    """
    return model.is_file() or model in cleaned or attempt.model in cleaned


def read_note(tree: Tree) -> dict[str, RemovedFile]:
    """What was removed of an experiment so far, by path."""
    try:
        removed = _removed_files(json.loads(tree.read(NOTE, _MOST_BYTES)))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logger.warning("%s is ignored: %s", tree.path / NOTE, error)
        return {}
    return {file.path: file for file in removed}


def note_text(experiment_id: str, removed: Iterable[RemovedFile]) -> bytes:
    """The content of the note."""
    document = {
        "format_version": FORMAT_VERSION,
        "experiment_id": experiment_id,
        "removed": [asdict(file) for file in removed],
    }
    return (json_text(document, indent=2) + "\n").encode(errors="backslashreplace")


def removed_now(path: str, kind: str, size: int, sha256: str | None) -> RemovedFile:
    """The note of a file that goes at this moment."""
    return RemovedFile(path, kind, size, sha256, now())


def _removed_files(document: Mapping[str, Any]) -> list[RemovedFile]:
    if document["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format {document['format_version']!r} is not {FORMAT_VERSION}")
    return [_removed_file(entry) for entry in document["removed"]]


def _removed_file(entry: Mapping[str, Any]) -> RemovedFile:
    file = RemovedFile(**entry)
    if not isinstance(file.path, str):
        raise TypeError(f"{file.path!r} is not a path")
    return file
