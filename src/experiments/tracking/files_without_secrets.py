"""Files on their way out: texts are redacted, anything else that holds a secret stays here."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ..domain.redaction import forms_of, redact

_LARGEST_TEXT_BYTES = 64 * 2**20
_BLOCK = 1 << 20


def without_secrets(file: Path, folder: Path, secrets: Iterable[str]) -> Path | None:
    """The file, or a copy of a text in `folder` that holds no secret; None for other content."""
    secrets = frozenset(secrets)
    text = _text(file)
    if text is None:
        return None if _holds(file, secrets) else file
    redacted = redact(text, secrets)
    if redacted == text:
        return file
    copy = folder / f"redacted-{file.name}"
    copy.write_bytes(redacted.encode())
    return copy


def is_withheld(file: Path, secrets: Iterable[str]) -> bool:
    """Whether a file may not be told: it is no text, and holds a secret."""
    secrets = frozenset(secrets)
    return bool(secrets) and _text(file) is None and _holds(file, secrets)


def _text(file: Path) -> str | None:
    if file.stat().st_size > _LARGEST_TEXT_BYTES:
        return None
    try:
        return file.read_bytes().decode()  # line ends as they are
    except UnicodeDecodeError:
        return None


def _holds(file: Path, secrets: frozenset[str]) -> bool:
    forms = {form for secret in secrets if secret for form in forms_of(secret)}
    needles = [form.encode(errors="backslashreplace") for form in forms]
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    if _contains(member, needles):
                        return True
    with file.open("rb") as whole:
        return _contains(whole, needles)


def _contains(stream: IO[bytes], needles: list[bytes]) -> bool:
    return any(needle in block for block in _blocks(stream, needles) for needle in needles)


def _blocks(stream: IO[bytes], needles: list[bytes]) -> Iterator[bytes]:
    """The content in blocks, each of which begins with the end of the one before."""
    overlap = max(map(len, needles), default=1) - 1
    tail = b""
    while block := stream.read(_BLOCK):
        yield tail + block
        tail = (tail + block)[-overlap:] if overlap else b""
