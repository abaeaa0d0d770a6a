"""A small volume of its own that can be filled to the last byte."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import wait_until

from .command import ROOT

MOUNT_POINT = "/mnt"
SIZE_MB = 600
"""Above what must stay free for a command to begin."""


class SmallVolume:
    """A tmpfs in a mount namespace of its own, which goes with the process that holds it."""

    def __enter__(self) -> Self:
        mount = f"mount -t tmpfs -o size={SIZE_MB}m,mode=700 faults {MOUNT_POINT}"
        hold = f"{mount} && echo mounted && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", hold],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._holder.stdout.readline() != "mounted\n":
            raise RuntimeError(f"no volume: {self._holder.communicate()[1].strip()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._holder.kill()
        self._holder.communicate()

    @property
    def folder(self) -> Path:
        """The volume as a process outside of the namespace sees it."""
        return Path(f"/proc/{self._holder.pid}/root{MOUNT_POINT}")

    @property
    def prefix(self) -> Sequence[str]:
        """Words before a command that is to see the volume at `MOUNT_POINT`."""
        return [*self._enter, "sh", "-c", f'cd "{ROOT}" && exec "$@"', "sh"]

    @property
    def _enter(self) -> Sequence[str]:
        return ["nsenter", "--target", str(self._holder.pid), "--mount"]

    @property
    def used_bytes(self) -> int:
        return shutil.disk_usage(self.folder).used

    def fill(self, but_for_bytes: int) -> None:
        """Leave so many bytes, rounded up to whole pages, while others may be writing."""
        # it is refused where they have written more meanwhile than was to be left
        wait_until(lambda: self._resize(self.used_bytes + but_for_bytes), "it is full")

    def empty(self) -> None:
        self._resize(SIZE_MB << 20)

    def _resize(self, size: int) -> bool:
        mount = ["mount", "-o", f"remount,size={size}", MOUNT_POINT]
        return subprocess.run([*self._enter, *mount], capture_output=True).returncode == 0


@cache
def why_not() -> str | None:
    """Why no such volume can be made on this machine; None where it can."""
    missing = [tool for tool in ("unshare", "nsenter") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    try:
        with SmallVolume() as volume:
            wait_until(volume.folder.exists, "it is seen")
    except (RuntimeError, TimeoutError, OSError) as error:
        return f"no mount namespace here ({error})"
    return None
