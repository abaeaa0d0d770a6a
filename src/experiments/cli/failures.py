"""Errors as a person meets them: on standard error, what, where and the remedy, an exit code.

0 all planned runs complete · 1 a run or I/O failed · 2 usage or configuration · 3 locked
4 finished, but runs were skipped · 5 training complete, upload incomplete · 70 internal error
129, 130, 143 stopped by a signal
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any

import typer

from ..domain.errors import ConfigurationError, ExperimentsError
from ..domain.redaction import known_secrets, redact
from .wording import plural, printable

TRACEBACK_VERBOSITY = 2
_LibraryUsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer exports only this one of its usage errors; they share its parent."""


class ExitCode(IntEnum):
    """How the process ends when no signal ends it."""

    COMPLETE = 0
    FAILED = 1
    USAGE = 2
    LOCKED = 3
    SKIPPED = 4
    NOT_UPLOADED = 5
    INTERNAL = 70


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Say what went wrong on standard error and return the exit code."""
    lines = _lines(error)
    if verbosity(arguments) >= TRACEBACK_VERBOSITY:
        lines = [*"".join(traceback.format_exception(error)).splitlines(), *lines]
    with suppress(OSError):  # the exit code is right also where nobody reads
        sys.stderr.write("".join(f"{printable(redact(line, known_secrets()))}\n" for line in lines))
    return exit_code(error)


def exit_code(error: Exception) -> int:
    """The exit code that an error ends in."""
    match error:
        case ExperimentsError():
            return error.exit_code
        case _LibraryUsageError():
            return ExitCode.USAGE
        case OSError():
            return ExitCode.FAILED
        case _:
            return ExitCode.INTERNAL


def as_json(error: Exception) -> dict[str, Any]:
    """The error as the last object that ``--json`` writes."""
    what, where, remedy = _parts(error)
    details: dict[str, Any] = {"what": what, "where": where, "remedy": remedy}
    if isinstance(error, ConfigurationError):
        details["problems"] = [vars(problem) for problem in error.problems]
    return {"status": "failed", "error": details, "exit_code": exit_code(error)}


def verbosity(arguments: Sequence[str]) -> int:
    """How often ``-v`` or ``--verbose`` was given, also where the rest could not be parsed."""
    short = sum(len(word) - 1 for word in arguments if re.fullmatch(r"-v+", word))
    return short + sum(word == "--verbose" for word in arguments)


def _lines(error: Exception) -> list[str]:
    if isinstance(error, ConfigurationError):
        source = f" in {error.source}" if error.source else ""
        first = f"error: {plural(len(error.problems), 'problem')}{source}"
        return [first, *(f"  {problem}" for problem in error.problems), *_notes(error)]
    what, where, remedy = _parts(error)
    first, *more = what.splitlines() or [""]
    lines = [f"error: {first}", *(f"  {line}" for line in more)]
    lines += [f"  where: {where}"] if where else []
    lines += [f"  remedy: {remedy}"] if remedy else []
    return lines + _notes(error)


def _parts(error: Exception) -> tuple[str, str | None, str | None]:
    """What, where, remedy."""
    match error:
        case ConfigurationError():
            return plural(len(error.problems), "problem"), error.source, None
        case ExperimentsError():
            return error.what, error.where, error.remedy
        case _LibraryUsageError():
            return _usage_parts(error)
        case OSError():
            where = str(error.filename) if error.filename is not None else None
            return error.strerror or str(error), where, "check the path, its permissions and space"
        case _:
            text = str(error).splitlines() or [""]
            what = f"internal error: {type(error).__name__}: {text[0]}"
            return what, None, "this is a bug; the same command with -vv shows the traceback"


def _usage_parts(error: Any) -> tuple[str, str | None, str | None]:
    """A usage error of the library; `ctx` and `format_message` are its own names."""
    what = " ".join(error.format_message().split())
    if error.ctx is None:
        return what, None, None
    where = error.ctx.command_path
    return what, where, f"{where} --help lists what is allowed"


def _notes(error: Exception) -> list[str]:
    return [f"  {note}" for note in getattr(error, "__notes__", ())]
