"""A directory that is held open, and below which no link is ever followed.

Every path is walked from the held descriptor, component by component, so that a name that is
exchanged for a link meanwhile leads nowhere; what is removed is a name, and nothing is written
through it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ..domain.errors import StorageError, UsageError
from .entries import Entry, ExchangedError, Form, Identity, Mount

MOST_LEVELS = 64
"""Directories within directories; what lies deeper is left alone."""
OTHER_FILE_SYSTEM = "another file system"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR)


WhyClosed = Callable[[str, Sequence[str]], str | None]
"""Asked with a directory's path and the names in it: why it is not to be entered, if it is not."""


class Tree:
    """What lies below one directory.

    Args:
        base: followed as given, links included: where it lies is its owner's choice.
        name: the root's name in `base`, which must not be a link; by default `base` is the root.

    Raises:
        UsageError: on entering, when there is no such directory, or when it is a link.
    """

    def __init__(self, base: Path, name: str = ".") -> None:
        self.path = base if name == "." else base / name
        self._base_path = base
        self._name = name
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            try:
                self._base = os.open(self._base_path, _DIRECTORY)
                opened.callback(os.close, self._base)
                flags = _DIRECTORY | os.O_NOFOLLOW
                self._root = os.open(self._name, flags, dir_fd=self._base)
            except OSError as error:
                raise _unusable(self.path, error) from error
            opened.callback(os.close, self._root)
            self._mount = Mount.of(self._root)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    # ---- looking

    def walk(self, why_closed: WhyClosed = lambda _path, _names: None) -> Iterator[Entry]:
        """Everything below the root, directories before what is in them; links are not followed.

        A directory that is not entered comes with the reason.
        """
        pending = [Entry("", Identity.of(os.fstat(self._root)))]
        while pending:
            folder = pending.pop()
            try:
                found = self._entries_of(folder.path)
            except OSError as error:
                yield replace(folder, why_closed=_why_unread(error))
                continue
            reason = why_closed(folder.path, [_name(entry.path) for entry in found])
            yield replace(folder, why_closed=reason)
            for entry in found if reason is None else ():
                if entry.identity.form is Form.DIRECTORY and entry.why_closed is None:
                    pending.append(entry)
                else:
                    yield entry

    def _entries_of(self, folder: str) -> list[Entry]:
        with self._directory(folder) as descriptor:
            found = []
            for name in sorted(os.listdir(descriptor)):  # noqa: PTH208 - of a descriptor
                with suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    found.append(self._entry(_joined(folder, name), status))
            return found

    def _entry(self, path: str, status: os.stat_result) -> Entry:
        entry = Entry(path, Identity.of(status))
        if entry.identity.form is not Form.DIRECTORY:
            return entry
        if status.st_dev != self._mount.device:
            return replace(entry, why_closed=OTHER_FILE_SYSTEM)
        if path.count("/") >= MOST_LEVELS:
            return replace(entry, why_closed=f"more than {MOST_LEVELS} levels deep")
        return entry

    def identity(self, path: str) -> Identity | None:
        """What stands under a name now; None where nothing does, or where a link leads to it."""
        try:
            with self._parent(path) as (folder, name):
                return Identity.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError, ExchangedError):
            return None

    def read(self, path: str, most_bytes: int) -> bytes:
        """The content of a regular file.

        Raises:
            OSError: when there is none, or it is larger.
        """
        descriptor = self.open_file(path)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes", path)
        return data

    def digest(self, entry: Entry) -> str:
        """The SHA-256 of a regular file.

        Raises:
            ExchangedError: when it is not the one that was looked at.
            OSError: when it cannot be read.
        """
        descriptor = self.open_file(entry.path)
        with os.fdopen(descriptor, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if Identity.of(os.fstat(descriptor)) != entry.identity:
                raise _exchanged(entry.path)
        return digest

    def open_file(self, path: str, flags: int = _FILE) -> int:
        """A descriptor of a regular file; nothing else is opened, as opening may act on a device.

        Raises:
            OSError: when there is none.
        """
        with self._parent(path) as (folder, name):
            if not flags & os.O_CREAT:
                _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), path)
            descriptor = os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            _check_regular(os.fstat(descriptor), path)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    # ---- changing

    def unlink(self, path: str, expected: Identity | None = None) -> None:
        """Remove a name of a file or a link, nothing behind it.

        Raises:
            ExchangedError: when it stands for something else than `expected`.
            OSError: when it is refused.
        """
        with self._parent(path) as (folder, name):
            found = Identity.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
            if expected is not None and found != expected:
                raise _exchanged(path)
            os.unlink(name, dir_fd=folder)

    def remove_if_empty(self, path: str) -> bool:
        """Remove a directory that holds nothing; the empty path is the root. Whether it is gone."""
        try:
            if not path:
                os.rmdir(self._name, dir_fd=self._base)
                return True
            with self._parent(path) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file into the root, which takes its place by one rename.

        Raises:
            StorageError: when the disk refuses; the former one is untouched.
        """
        temporary = f".{name}.{os.getpid()}-0.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with suppress(FileNotFoundError):  # of a process of this number that was killed
                os.unlink(temporary, dir_fd=self._root)
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=self._root), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=self._root, dst_dir_fd=self._root)
            os.fsync(self._root)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self._root)
            raise StorageError(
                f"{error.strerror or error}: {len(data):,} bytes could not be written",
                where=str(self.path / name),
                remedy="free space or fix the permissions, then repeat the command",
            ) from error

    # ---- descriptors

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        with ExitStack() as opened:
            descriptor = self._root
            for name in path.split("/") if path else ():
                descriptor = _entered(descriptor, name, path)
                opened.callback(os.close, descriptor)
                if Mount.of(descriptor) != self._mount:
                    raise OSError(errno.EXDEV, OTHER_FILE_SYSTEM, path)
            yield descriptor

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        folder, _, name = path.rpartition("/")
        with self._directory(folder) as descriptor:
            yield descriptor, name


def _entered(folder: int, name: str, path: str) -> int:
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in _LINK_ERRORS:
            raise _exchanged(path) from error
        raise


def _why_unread(error: OSError) -> str:
    what = error.strerror or str(error)
    return what if error.errno == errno.EXDEV else f"cannot be read: {what}"


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _exchanged(path: str) -> ExchangedError:
    return ExchangedError(errno.ESTALE, "is no longer what was examined", path)


def _unusable(path: Path, error: OSError) -> UsageError:
    if error.errno in _LINK_ERRORS and path.is_symlink():
        return UsageError(
            "the directory is a link, and links are not followed",
            where=str(path),
            remedy="give the directory's real path",
        )
    return UsageError(
        f"the directory cannot be opened: {error.strerror or error}",
        where=str(path),
        remedy="check the path and its permissions",
    )


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _name(path: str) -> str:
    return path.rpartition("/")[2]
