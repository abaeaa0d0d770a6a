"""JSON documents written piece by piece, in the layout that `write_json` gives to a whole one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..durability.files import json_text, replacing

INDENT = "  "


def write_chunks(path: Path, chunks: Iterable[str]) -> None:
    """Write a document from its pieces, atomically; only one of them is in memory at a time.

    Raises:
        StorageError: when the disk refuses; the previous content is untouched.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.writelines(chunks)
        file.write("\n")


def object_chunks(members: Iterable[tuple[str, Iterable[str]]], depth: int = 0) -> Iterator[str]:
    """An object that stands `depth` levels deep; its values are chunks one level deeper."""
    is_empty = True
    for name, value in members:
        yield "{\n" if is_empty else ",\n"
        yield f"{INDENT * (depth + 1)}{json_text(name)}: "
        yield from value
        is_empty = False
    yield "{}" if is_empty else f"\n{INDENT * depth}}}"


def array_chunks(items: Iterable[Iterable[str]], depth: int = 0) -> Iterator[str]:
    """An array that stands `depth` levels deep; its items are chunks one level deeper."""
    is_empty = True
    for item in items:
        yield "[\n" if is_empty else ",\n"
        yield INDENT * (depth + 1)
        yield from item
        is_empty = False
    yield "[]" if is_empty else f"\n{INDENT * depth}]"


def value_chunks(value: Any, depth: int = 0) -> Iterator[str]:
    """A value that is small enough to be written at once, `depth` levels deep."""
    yield json_text(value, indent=len(INDENT)).replace("\n", "\n" + INDENT * depth)
