"""Reads an experiment file from a disk that may hold anything under its name."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..domain.errors import ConfigurationError, Problem
from .problems import at, escaped

LARGEST_FILE = 1 << 20
DEEPEST_NESTING = 40
LONGEST_INTEGER = 30

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_STRICT = "JSON has none; write a finite number"


class _Unreadable:
    """Stands for a number that JSON or this machine cannot hold."""

    def __init__(self, problem: str, allowed: str) -> None:
        self.problem = problem
        self.allowed = allowed


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys were given twice."""

    repeated: tuple[str, ...] = ()


def read_document(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[Problem]]:
    """A file's JSON object, and what is wrong with single values in it.

    Raises:
        ConfigurationError: when there is no JSON object to go on with.
    """
    source = escaped(os.fspath(path))
    try:
        document = _parse(_decode(_read(Path(path))))
    except _CannotReadError as error:
        raise ConfigurationError([error.problem], source=source) from None
    problems: list[Problem] = []
    plain = _plain(document, (), problems)
    if not isinstance(plain, dict):
        kind = "a list" if isinstance(plain, list) else "a single value"
        problem = Problem("", f"the document is {kind}", allowed="write a JSON object: {…}")
        raise ConfigurationError([problem, *problems], source=source)
    return plain, problems


def parse_value(text: str, pointer: tuple[str | int, ...]) -> tuple[Any, list[Problem]]:
    """A value given on a command line: JSON where it is JSON, else the text itself."""
    problems: list[Problem] = []
    try:
        return _plain(_parse(text), pointer, problems), problems
    except _CannotReadError:
        return _plain(text, pointer, problems), problems


class _CannotReadError(Exception):
    def __init__(self, message: str, allowed: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem("", message, allowed=allowed)


def _read(path: Path) -> bytes:
    remedy = "give the path of a JSON file"
    try:
        # not blocking: opening a FIFO without a writer would wait for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _CannotReadError(f"cannot be opened ({reason})", remedy) from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise _CannotReadError("is a directory", remedy)
        if not stat.S_ISREG(status.st_mode):
            raise _CannotReadError("is not a regular file", remedy)
        if status.st_size > LARGEST_FILE:
            raise _CannotReadError(
                f"has {status.st_size} bytes", f"an experiment file has at most {LARGEST_FILE}"
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _CannotReadError(f"cannot be read ({error.strerror})", remedy) from None
    finally:
        os.close(descriptor)


def _decode(data: bytes) -> str:
    remedy = "save it as UTF-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        raise _CannotReadError("is UTF-16 or UTF-32 text", remedy)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not valid UTF-8 (line {line}, byte {error.start})"
        raise _CannotReadError(message, remedy) from None
    if not text.strip():
        raise _CannotReadError("is empty", "write a JSON object: {…}")
    return text


def _parse(text: str) -> Any:
    _check_nesting(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=lambda name: _Unreadable(f"{name} is not a number", _STRICT),
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise _syntax_error(text, error) from None


def _check_nesting(text: str) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        match token.group()[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
        if depth > DEEPEST_NESTING:
            where = _place(text, token.start())
            raise _CannotReadError(
                f"{where}: nested too deeply", f"use at most {DEEPEST_NESTING} levels"
            )


def _syntax_error(text: str, error: json.JSONDecodeError) -> _CannotReadError:
    before, rest = text[: error.pos].rstrip(), text[error.pos :].lstrip()
    if rest[:1] in {"}", "]"} and before.endswith(","):
        where = _place(text, len(before) - 1)
        return _CannotReadError(f"{where}: trailing comma", "take the last comma out")
    if before.endswith(",") and re.match(r",\s*[}\]]", text[len(before) - 1 :]):
        where = _place(text, len(before) - 1)
        return _CannotReadError(f"{where}: trailing comma", "take the last comma out")
    where = _place(text, error.pos)
    if not rest or error.msg.startswith("Unterminated string"):
        return _CannotReadError(f"{where}: the file ends too early", "restore its missing end")
    if rest.startswith(("//", "/*", "#")):
        return _CannotReadError(f"{where}: a comment", "JSON has none; use the key 'comment'")
    return _CannotReadError(f"{where}: not valid JSON ({error.msg})", "correct it there")


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"line {line}, column {column}"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        found.repeated = tuple(sorted({name for name in names if names.count(name) > 1}))
    return found


def _float(text: str) -> float | _Unreadable:
    value = float(text)
    if math.isfinite(value):
        return value
    return _Unreadable("too large a number", "write a number below 1.8e308")


def _integer(text: str) -> int | _Unreadable:
    if len(text) <= LONGEST_INTEGER:
        return int(text)
    return _Unreadable(
        f"a whole number of {len(text.lstrip('-'))} digits",
        f"write at most {LONGEST_INTEGER}",
    )


def _plain(value: Any, path: tuple[str | int, ...], problems: list[Problem]) -> Any:
    """The value without markers; what they marked goes to `problems`, with its pointer."""
    problems.extend(_problems_of(value, path))
    match value:
        case _Unreadable():
            return None
        case dict():
            return {key: _plain(item, (*path, key), problems) for key, item in value.items()}
        case list():
            return [_plain(item, (*path, index), problems) for index, item in enumerate(value)]
        case _:
            return value


def _problems_of(value: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if isinstance(value, _Unreadable):
        yield Problem(at(*path), value.problem, allowed=value.allowed)
    elif isinstance(value, _Object):
        for name in value.repeated:
            yield Problem(at(*path, name), "this key is given twice", allowed="keep one")
        for name in value:
            if _has_surrogate(name):
                yield Problem(at(*path, name), "the key is not Unicode text")
    elif isinstance(value, str) and _has_surrogate(value):
        yield Problem(
            at(*path), "is not Unicode text (half a surrogate pair)", allowed="correct the escape"
        )


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
