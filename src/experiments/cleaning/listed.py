"""What the manifest of an experiment lists, read without trusting it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.errors import StorageError
from ..durability.files import json_text
from .kinds import MANIFEST
from .tree import Tree

MOST_BYTES = 256 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ListedFile:
    """One entry of a manifest."""

    path: str
    size: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {"path": self.path, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Manifest:
    """A manifest that can be trusted to speak of nothing outside its experiment."""

    document: Mapping[str, Any]
    files: Mapping[str, ListedFile]

    def rewritten(self, there: Collection[str], added: Mapping[str, bytes]) -> bytes:
        """The manifest of those of its files that are still there, and of files that were added.

        An entry says what the program wrote: that of a file which somebody has changed since stays
        as it was, and files of others are not taken in.
        """
        files = {path: file for path, file in self.files.items() if path in there}
        for path, data in added.items():
            files[path] = ListedFile(path, len(data), hashlib.sha256(data).hexdigest())
        document = {
            **self.document,
            "count": len(files),
            "bytes": sum(file.size for file in files.values()),
            "files": [file.to_dict() for file in files.values()],
        }
        return (json_text(document, indent=2) + "\n").encode(errors="backslashreplace")


def read_manifest(tree: Tree, experiment_id: str) -> Manifest | None:
    """The manifest of the experiment in a tree; None where there is none.

    Raises:
        StorageError: when it cannot be read, is another experiment's, or names a place outside.
    """
    where = str(tree.path / MANIFEST)
    try:
        document = json.loads(tree.read(MANIFEST, MOST_BYTES))
        files = [_listed_file(entry) for entry in document["files"]]
        owner = document["experiment_id"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _untrusted(where, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _untrusted(where, f"it is not a manifest ({error})") from error
    if owner != experiment_id:
        raise _untrusted(where, f"it is the manifest of {ascii(owner)[:100]}")
    return Manifest(document, {file.path: file for file in files})


def _listed_file(entry: Mapping[str, Any]) -> ListedFile:
    file = ListedFile(entry["path"], entry["size"], entry["sha256"])
    if not (isinstance(file.path, str) and _is_inside(file.path)):
        raise ValueError(f"{ascii(file.path)[:200]} is not a path inside the experiment")
    if type(file.size) is not int or not _SHA256.fullmatch(str(file.sha256)):
        raise ValueError(f"size or SHA-256 of {ascii(file.path)[:200]} is invalid")
    return file


def _is_inside(path: str) -> bool:
    """Whether a path is relative and goes down only; it is never repaired."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return False
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _untrusted(where: str, what: str) -> StorageError:
    return StorageError(
        f"{what}; nothing was removed",
        where=where,
        remedy=(
            "restore it from a copy; without a manifest only files at the program's own places "
            "can be removed"
        ),
    )
