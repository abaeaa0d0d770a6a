"""What a look at a directory tells of each name in it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self


class Form(StrEnum):
    """What a name stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    FIFO = "named pipe"
    SOCKET = "socket"
    DEVICE = "device"


_FORMS = {
    stat.S_IFREG: Form.FILE,
    stat.S_IFDIR: Form.DIRECTORY,
    stat.S_IFLNK: Form.LINK,
    stat.S_IFIFO: Form.FIFO,
    stat.S_IFSOCK: Form.SOCKET,
}


@dataclass(frozen=True)
class Identity:
    """By what a file is known again; a change of its content, or of what has its name, shows."""

    device: int
    inode: int
    form: Form
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """What `lstat` tells."""
        form = _FORMS.get(stat.S_IFMT(status.st_mode), Form.DEVICE)
        return cls(status.st_dev, status.st_ino, form, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Entry:
    """A name below a tree's root."""

    path: str
    """Relative to the root, with slashes; empty for the root itself."""
    identity: Identity
    why_closed: str | None = None
    """Why a directory was not entered."""


class ExchangedError(OSError):
    """What stands under a name is no longer what was looked at."""


@dataclass(frozen=True)
class Mount:
    """By what it shows that a directory is not on the file system on which its parent is."""

    device: int
    number: str
    """Of the mount, where the system tells it: a part of one file system can be mounted again."""

    @classmethod
    def of(cls, descriptor: int) -> Self:
        """Of a directory that is open."""
        number = ""
        with suppress(OSError):
            told = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
            number = "".join(line for line in told.splitlines() if line.startswith("mnt_id:"))
        return cls(os.fstat(descriptor).st_dev, number)
