"""Files that are complete or absent: temporary file, fsync, rename, fsync of the directory."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError

PRIVATE_DIRECTORY = 0o700


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a whole file so that its final name never shows a part of it.

    Raises:
        StorageError: when the disk refuses; the previous content is untouched.
    """
    # half a surrogate pair, as file names can hold, must not cost the whole file
    content = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary file beside `path` that takes its place when the block succeeds.

    Args:
        path: the final name.
        size: bytes that are to be written, where that is known; named when the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_DIRECTORY)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        if size is None:
            told = f" after {_size_of(temporary):,} bytes"
        else:
            told = f": {size:,} bytes could not be written"
        raise _storage_error(path, error, told) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; what is not a finite number becomes null."""
    write_atomically(path, json_text(value, indent=2) + "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON: NaN and the infinities, which JSON has not, become null.

    NumPy scalars and enums are written as their values, records as objects, all else as text.
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StorageError: when it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _storage_error(path, error) from error
    except ValueError as error:
        raise StorageError(
            f"not valid JSON ({error})", where=str(path), remedy="restore the file from a copy"
        ) from error


@contextmanager
def publishing(directory: Path) -> Iterator[Path]:
    """Yield a scratch directory that appears as `directory`, whole, when the block succeeds.

    Raises:
        FileExistsError: when `directory` already exists.
        StorageError: when the disk refuses.
    """
    scratch = directory.parent
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(".new", f".{directory.name}.", directory.parent))
        yield scratch
        _sync(scratch)
        scratch.rename(directory)
        _sync(directory.parent)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise FileExistsError(error.errno, "already exists", str(directory)) from error
        raise _storage_error(directory, error) from error
    finally:
        if scratch != directory.parent:
            shutil.rmtree(scratch, ignore_errors=True)


def make_directory(path: Path) -> Path:
    """Create a private directory and its parents where they are missing."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_DIRECTORY)
    return path


def sync_directory(path: Path) -> None:
    """Wait until the disk knows which names a directory holds."""
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            return float(value) if math.isfinite(value) else None
        case Mapping():
            return {_plain_key(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return [_plain(item) for item in sorted(value, key=repr)]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return _plain(value.tolist())
    return str(value)


def _plain_key(key: Any) -> str | int | float | bool | None:
    plain = _plain(key)
    return plain if isinstance(plain, str | int | float | None) else str(plain)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _storage_error(path: Path, error: OSError, told: str = "") -> StorageError:
    return StorageError(
        f"{error.strerror or error}{told}",
        where=str(path),
        remedy="free space or fix the permissions, then continue with --experiment-id",
    )
