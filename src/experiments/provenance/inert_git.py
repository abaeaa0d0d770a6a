"""Git, called so that nothing of the user's runs with it: no hook, pager or diff program."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

LONGEST_TEXT_BYTES = 2**16
LONGEST_COMPLAINT = 500

_INERT = (
    *("--no-pager", "--no-optional-locks"),
    *("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.quotePath=false", "-c", "color.ui=false", "-c", "diff.relative=false"),
    *("-c", "core.sparseCheckout=false", "-c", "submodule.recurse=false"),
)
_REDIRECTING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_TRACE"),
)


class GitFailedError(Exception):
    """Git refused; its text is what it said."""


@dataclass(frozen=True)
class Git:
    """Git in a directory."""

    directory: Path
    timeout_seconds: float = 10.0

    def text(self, *arguments: str) -> str:
        """Output of a command, without the white space around it.

        Raises:
            GitFailedError: when it fails.
            OSError: when there is no git, or no such directory.
            TimeoutExpired: when it does not answer in time.
        """
        return self.read(*arguments, limit=LONGEST_TEXT_BYTES)[0].decode(errors="replace").strip()

    def text_or_none(self, *arguments: str) -> str | None:
        """As `text`; None where it fails or says nothing."""
        try:
            return self.text(*arguments) or None
        except GitFailedError:
            return None

    def read(self, *arguments: str, limit: int) -> tuple[bytes, bool]:
        """Output of a command up to `limit` bytes, and whether there was more."""
        # into files: a diff can be larger than memory
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
                ["git", *_INERT, *arguments],  # noqa: S607 - whichever git the user has
                cwd=self.directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                timeout=self.timeout_seconds,
                check=False,
                start_new_session=True,  # a Ctrl-C ends us in good order, and git does not care
            )
            if done.returncode != 0:
                complaints.seek(0)
                complaint = complaints.read(LONGEST_COMPLAINT).decode(errors="replace")
                raise GitFailedError(complaint.strip() or f"git ended with {done.returncode}")
            size = output.seek(0, os.SEEK_END)
            output.seek(0)
            return output.read(limit), size > limit


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _REDIRECTING}
    return kept | {"GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
