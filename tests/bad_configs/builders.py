"""Bad experiment files that cannot lie in a repository; each is made where a test wants it.

The other cases are the files beside this one: `name.json` with its message in `name.expected`,
FILE standing for the path. `accepted/` holds what looks odd and is right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
GOOD = json.loads((FOLDER / "accepted" / "hypothesis_with_script.json").read_text(encoding="utf-8"))
TEXT = json.dumps(GOOD, indent=2)


def _absent(path: Path) -> None:
    """Nothing is written."""


def _directory(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


def _utf16(path: Path) -> None:
    path.write_text(TEXT, encoding="utf-16")


def _utf16_without_mark(path: Path) -> None:
    path.write_text(TEXT, encoding="utf-16-le")


def _not_utf8(path: Path) -> None:
    path.write_bytes(TEXT.encode().replace(b"script", b"scr\xffpt", 1))


def _nul_bytes(path: Path) -> None:
    path.write_bytes(b"\x00" * 100)


def _deeply_nested(path: Path) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000)


def _deeply_nested_object(path: Path) -> None:
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def _long_integer(path: Path) -> None:
    path.write_text(TEXT.replace('"seed": 1', '"seed": ' + "9" * 5000, 1))


AWKWARD: dict[str, Callable[[Path], None]] = {
    "absent": _absent,
    "deeply_nested": _deeply_nested,
    "deeply_nested_object": _deeply_nested_object,
    "directory": _directory,
    "fifo": _fifo,
    "long_integer": _long_integer,
    "not_utf8": _not_utf8,
    "nul_bytes": _nul_bytes,
    "sparse": _sparse,
    "utf16": _utf16,
    "utf16_without_mark": _utf16_without_mark,
}
"""Builders by the name of the case."""


def expected_message(name: str, path: Path) -> str:
    """The whole message for a case whose file lies at `path`."""
    text = (FOLDER / f"{name}.expected").read_text(encoding="utf-8")
    return text.rstrip("\n").replace("FILE", str(path))
