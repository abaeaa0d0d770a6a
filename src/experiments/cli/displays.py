"""Which view suits a stream: a terminal, a file or pipe that a person reads, a program."""

from __future__ import annotations

import sys
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from .json_output import event, write_object
from .plain import ChangeLog, line
from .screen import animates
from .snapshot import Display
from .view import LiveView
from .wording import printable


def display_for(people: Console, *, json: bool) -> Display:
    """A live view on a terminal, else a line for each change; objects with `json`."""
    if json:
        return ChangeLog(lambda change: write_object(event(change)), warn)
    if animates(people):
        return LiveView(people)
    return ChangeLog(lambda change: people.print(Text(line(change)), soft_wrap=True), warn)


def warn(text: str) -> None:
    """Write a message to standard error, if anybody reads there."""
    with suppress(OSError):  # after a hang-up there is nobody to tell
        sys.stderr.write(f"{printable(text, keep_newlines=True)}\n")
        sys.stderr.flush()
