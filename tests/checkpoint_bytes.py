"""Checkpoints as bytes, for tests that keep them or damage them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from src.experiments.durability.checkpoints import read_from, write


def pack(state: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    write(state, file)
    return file.getvalue()


def unpack(data: bytes, path: Path) -> dict[str, Any]:
    return read_from(io.BytesIO(data), path)
