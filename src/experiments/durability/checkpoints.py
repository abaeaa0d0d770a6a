"""Checkpoints: plain data in a pickle that nothing can be executed from.

A file holds a pickled mapping of format version, SHA-256 and payload bytes; the payload is a second
pickle of plain data. Both are read by an unpickler that can construct nothing else.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle  # written by us, read only by `PlainUnpickler` below
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Never

from ..domain.errors import StorageError, UnusableCheckpointsError
from .files import replacing

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
_PROTOCOL = 4


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, bytes and containers; refuses everything that names a class."""

    def find_class(self, module: str, name: str) -> Never:
        """Refuse: plain data needs no class.

        Raises:
            pickle.UnpicklingError: always.
        """
        raise pickle.UnpicklingError(f"refused to construct {module}.{name}")


class CheckpointManager:
    """Keeps the last `keep` checkpoints of one name in one directory, each complete or absent."""

    def __init__(
        self, directory: Path | str, name: str = "runner_checkpoint", keep: int = 3
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep: need at least 1 checkpoint, got {keep}")
        self.directory = Path(directory)
        self.name = name
        self.keep = keep
        self.passed_over: list[str] = []
        """The checkpoints that could not be used so far, and why."""

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint of plain data, then drop those before the last `keep`.

        Those of later steps go too: a step is reached again only after a rewind.

        Raises:
            TypeError: when `state` holds anything but plain data.
            StorageError: when the disk refuses; earlier checkpoints are untouched.
        """
        path = self._path(step)
        with replacing(path) as temporary, temporary.open("wb") as file:
            write(state, file)
        steps = self._steps()
        earlier = [old for at, old in steps if at <= step]
        for old in (*earlier[: -self.keep], *(old for at, old in steps if at > step)):
            old.unlink(missing_ok=True)
        return path

    def trusted(
        self, check: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """The checkpoints that can be trusted, newest first; a warning names each that cannot.

        Args:
            check: raises `StorageError` for a state that is of no use.
        """
        for step, path in reversed(self._steps()):
            try:
                state = read(path)
                check(state)
            except (StorageError, OSError) as error:
                self.pass_over(step, error)
            else:
                yield step, state

    def pass_over(self, step: int, why: Exception) -> None:
        """Warn that a checkpoint is not used, and which one is tried instead."""
        earlier = [path for at, path in self._steps() if at < step]
        instead = f"trying {earlier[-1].name}" if earlier else "there is none before it"
        told = f"checkpoint {self._path(step)} is not used: {why}; {instead}"
        self.passed_over.append(told)
        logger.warning("%s", told)

    def untrusted_error(self) -> StorageError:
        """The error for a directory in which no checkpoint is of use; nothing was changed there."""
        return UnusableCheckpointsError(
            f"none of {len(self._steps())} checkpoints can be used",
            where=str(self.directory),
            remedy="restore one from a copy; or remove the folder, and training starts over",
        )

    def is_empty(self) -> bool:
        """Whether there is no checkpoint, good or bad."""
        return not self._steps()

    def paths(self) -> list[Path]:
        """The checkpoints' files, oldest first."""
        return [path for _, path in self._steps()]

    def _path(self, step: int) -> Path:
        return self.directory / f"{self.name}_{step}.pkl"

    def _steps(self) -> list[tuple[int, Path]]:
        return sorted(self._matching())

    def _matching(self) -> Iterator[tuple[int, Path]]:
        pattern = re.compile(re.escape(self.name) + r"_(\d+)\.pkl")
        for path in self.directory.glob(f"{self.name}_*.pkl"):
            if found := pattern.fullmatch(path.name):
                yield int(found[1]), path


class _PlainPickler(pickle.Pickler):
    """Writes what `PlainUnpickler` reads, and refuses everything else."""

    def reducer_override(self, value: Any) -> Never:
        """Refuse: the pickler asks about everything but plain data.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"a checkpoint holds only plain data, not a {type(value).__name__}")


def write(state: dict[str, Any], file: BinaryIO) -> None:
    """Write a checkpoint; that takes as much memory again as the state itself.

    Raises:
        TypeError: when `state` holds anything but plain data.
    """
    buffer = io.BytesIO()
    _PlainPickler(buffer, _PROTOCOL).dump(state)
    payload = buffer.getvalue()
    envelope = {
        "format_version": FORMAT_VERSION,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "payload": payload,
    }
    pickle.Pickler(file, _PROTOCOL).dump(envelope)


def read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint file; reading it takes twice the memory of the state.

    Raises:
        OSError: when it cannot be read.
        StorageError: when it is damaged, from a newer version, or not plain data.
    """
    with path.open("rb") as file:
        return read_from(file, path)


def read_from(file: BinaryIO, path: Path) -> dict[str, Any]:
    """The state in an open checkpoint; `path` is named in errors, which are those of `read`."""
    envelope = _load_plain(file, path)
    version = envelope.get("format_version")
    if version != FORMAT_VERSION:
        raise StorageError(
            f"checkpoint format {version!r} is not {FORMAT_VERSION}",
            where=str(path),
            remedy="read it with the version that wrote it",
        )
    payload = envelope.get("payload")
    if not isinstance(payload, bytes) or (
        hashlib.sha256(payload).hexdigest() != envelope.get("sha256")
    ):
        raise StorageError("checkpoint is damaged: its SHA-256 does not match", where=str(path))
    return _load_plain(io.BytesIO(payload), path)


def _load_plain(file: BinaryIO, path: Path) -> dict[str, Any]:
    try:
        state = PlainUnpickler(file).load()
    except OSError:
        raise  # which says nothing of what is in it
    # a damaged pickle can raise nearly anything; the file is named and nothing was constructed
    except Exception as error:
        raise StorageError(f"checkpoint is damaged ({error})", where=str(path)) from error
    if not isinstance(state, dict):
        raise StorageError("checkpoint does not hold a mapping", where=str(path))
    return state
