"""Files that git does not track and that a reproduction may lack: modules, and what they read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..domain.redaction import SECRET_NAME, redact
from .source_redaction import redact_source

CODE = frozenset({".py", ".pyi", ".pyx"})
DATA = frozenset({".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".xml", ".urdf"})
"""What modules of environments read; models, tables and texts are left where they are."""
LARGEST_FILE_BYTES = 256 * 2**10
MOST_BYTES = 2 * 2**20
MOST_FILES = 200
_ODD = frozenset('"\\\ufffd')


@dataclass(frozen=True)
class UntrackedFile:
    """A file as it was, without secrets."""

    text: str
    sha256: str
    """Of the file itself."""
    redacted: bool
    """Whether its text lacks a secret that the file holds."""


def kept_files(
    root: Path, names: Iterable[str], secrets: Iterable[str] = ()
) -> dict[str, UntrackedFile]:
    """The small files of code and settings among the untracked ones, code first.

    Args:
        root: of the repository.
        names: of its untracked files.
        secrets: values that are left out.
    """
    secrets = tuple(secrets)
    kept: dict[str, UntrackedFile] = {}
    left = MOST_BYTES
    for name in _worth_keeping(name for name in names if redact(name, secrets) == name):
        content = _content(root / name, min(LARGEST_FILE_BYTES, left))
        if content is None:
            continue
        left -= len(content)
        kept[name] = _as_kept(content, secrets)
        if len(kept) == MOST_FILES:
            break
    return kept


def creating_patch(texts: Mapping[str, str]) -> str:
    """A patch that creates files of these texts, as `git apply` takes it."""
    return "".join("".join(_creation(name, text)) for name, text in texts.items())


def _creation(name: str, text: str) -> Iterator[str]:
    yield f"diff --git a/{name} b/{name}\nnew file mode 100644\n"
    if not text:
        yield "index 0000000..e69de29\n"  # git wants to see which empty file
        return
    lines = text.removesuffix("\n").split("\n")
    end_of_name = "\t" if " " in name else ""
    yield f"--- /dev/null\n+++ b/{name}{end_of_name}\n@@ -0,0 +1,{len(lines)} @@\n"
    yield from (f"+{line}\n" for line in lines)
    if not text.endswith("\n"):
        yield "\\ No newline at end of file\n"


def _worth_keeping(names: Iterable[str]) -> Iterator[str]:
    """Code, then data; none whose name promises secrets, or that a patch would have to escape."""
    paths = [PurePosixPath(name) for name in names if name.isprintable() and not _ODD & {*name}]
    for suffixes in (CODE, DATA):
        yield from (str(path) for path in paths if path.suffix in suffixes and not _secret(path))


def _secret(path: PurePosixPath) -> bool:
    return path.suffix in DATA and bool(SECRET_NAME.search(path.stem))


def _as_kept(content: bytes, secrets: Iterable[str]) -> UntrackedFile:
    text = content.decode()
    shown = redact_source(text, secrets)
    return UntrackedFile(shown, hashlib.sha256(content).hexdigest(), redacted=shown != text)


def _content(path: Path, limit: int) -> bytes | None:
    """A regular file's content; None where it is none, too large, or not text in UTF-8."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = file.read(limit + 1)
        content.decode()
    except (OSError, ValueError):
        return None
    return content if len(content) <= limit else None
