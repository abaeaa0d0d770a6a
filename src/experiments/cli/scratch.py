"""A temporary folder of a command: it goes at the end, and what has failed stays and is named."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .displays import warn
from .failures import ExitCode, exit_code
from .json_output import write_object
from .signals import Stopped


@dataclass
class Folder:
    """Where everything happens."""

    path: Path
    stays: bool = False


@contextmanager
def temporary_folder(prefix: str, *, json: bool, results: Path | None = None) -> Iterator[Folder]:
    """A folder that goes at the end, unless it shall stay; what has failed stays and is named.

    Args:
        prefix: of its name.
        json: whether a program reads how it ended.
        results: another place in which something is left when the command is stopped.
    """
    folder = Folder(Path(tempfile.mkdtemp(prefix=prefix)))
    try:
        yield folder
    except Stopped as stopped:
        left = "nothing is left of it" if results is None else f"what was written is in {results}"
        folder.stays = False
        warn(f"stopped; {left}")
        if json:
            write_object({"status": "interrupted", "exit_code": 128 + stopped.number})
        raise
    except Exception as error:
        folder.stays = exit_code(error) != ExitCode.USAGE
        if folder.stays:
            error.add_note(f"kept: {folder.path}")
        raise
    finally:
        if not folder.stays:
            shutil.rmtree(folder.path, ignore_errors=True)
