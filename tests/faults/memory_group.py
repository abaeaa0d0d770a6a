"""A control group in which memory is short."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

CGROUPS = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A group whose processes may take so much memory together; the kernel ends what takes more."""

    def __init__(self, limit_mb: int) -> None:
        is_unified = (CGROUPS / "cgroup.controllers").exists()
        parent = CGROUPS if is_unified else CGROUPS / "memory"
        self._folder = parent / f"faults-{os.getpid()}-{time.monotonic_ns()}"
        self._limit = "memory.max" if is_unified else "memory.limit_in_bytes"
        self._limit_bytes = limit_mb << 20

    def __enter__(self) -> Self:
        self._folder.mkdir()
        (self._folder / self._limit).write_text(str(self._limit_bytes))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in range(100):  # processes that have just ended leave it a moment later
            with suppress(OSError):
                self._folder.rmdir()
                return
            time.sleep(0.05)

    @property
    def prefix(self) -> Sequence[str]:
        """Words before a command that is to be in the group."""
        return ["sh", "-c", f'echo $$ > "{self._folder}/cgroup.procs" && exec "$@"', "sh"]


@cache
def why_not() -> str | None:
    """Why no such group can be made on this machine; None where it can."""
    try:
        with MemoryGroup(100):
            return None
    except OSError as error:
        return f"no control group of memory here ({error.strerror})"
