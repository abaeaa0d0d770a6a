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
        return ChangeLog(lambda change: write_object(event(change)), warn, _write_admission)
    if animates(people):
        return LiveView(people)

    def tell(text: str) -> None:
        people.print(Text(printable(text)), soft_wrap=True)

    return ChangeLog(lambda change: tell(line(change)), warn, lambda _, text: tell(text))


def _write_admission(slots: int, text: str) -> None:
    write_object({"event": "admission", "slots": slots, "text": text})


def warn(text: str) -> None:
    """Write a message to standard error, if anybody reads there."""
    with suppress(OSError):  # after a hang-up there is nobody to tell
        sys.stderr.write(f"{printable(text, keep_newlines=True)}\n")
        sys.stderr.flush()
