"""The two streams: results on standard output, what goes wrong on standard error."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

from rich.console import Console

PIPE_WIDTH = 100
"""Columns of a table that is written to a file or a pipe."""


def console(stream: TextIO) -> Console:
    """A console on a stream that takes no text for markup, emoji codes or things to colour.

    NO_COLOR, FORCE_COLOR, COLUMNS and TERM=dumb are honoured by Rich.
    """
    plain = Console(file=stream, markup=False, highlight=False, emoji=False)
    if plain.is_dumb_terminal:  # Rich takes it for 80 columns wide
        plain.width = shutil.get_terminal_size().columns
    elif not plain.is_terminal and "COLUMNS" not in os.environ:
        plain.width = PIPE_WIDTH
    return plain


def results_console() -> Console:
    """A console on standard output."""
    return console(sys.stdout)


def human_console(*, json: bool) -> Console:
    """Where a person reads: standard output, or standard error when the former is for a program."""
    return console(sys.stderr if json else sys.stdout)


def animates(console: Console) -> bool:
    """Whether a live view can be drawn: a terminal that can move its cursor."""
    return console.is_terminal and not console.is_dumb_terminal
