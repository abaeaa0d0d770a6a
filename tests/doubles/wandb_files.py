"""Reads the files that Weights & Biases writes for a later upload."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_FILE_HEADER = b":W&B"
_FILE_HEADER_SIZE = 7
_BLOCK = 32 * 1024
_CHUNK_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What one ``.wandb`` file tells."""

    id: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None where the run was not finished."""
    preempting: bool = False


def read_offline_run(folder: Path) -> OfflineRun:
    """The run whose folder this is, ``offline-run-…``."""
    (path,) = folder.glob("*.wandb")
    run = OfflineRun()
    for record in read_records(path):
        _take(run, record)
    return run


def read_records(path: Path) -> Iterator[Record]:
    """The records of a ``.wandb`` file; a torn end is left out.

    Raises:
        ValueError: when it is not such a file, or something in it is damaged.
    """
    content = path.read_bytes()
    if not content.startswith(_FILE_HEADER):
        raise ValueError(f"{path} does not begin as a .wandb file does")
    parts: list[bytes] = []
    position = _FILE_HEADER_SIZE
    while position + _CHUNK_HEADER.size <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _CHUNK_HEADER.size:
            position += left  # filled up with zeros
            continue
        checksum, length, kind = _CHUNK_HEADER.unpack_from(content, position)
        begin = position + _CHUNK_HEADER.size
        position = begin + length
        chunk = content[begin:position]
        if len(chunk) < length:
            return
        if zlib.crc32(bytes([kind]) + chunk) != checksum:
            raise ValueError(f"{path}: damaged before byte {position}")
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(chunk)
        if kind in (_FULL, _LAST):
            record = Record()
            record.ParseFromString(b"".join(parts))
            yield record


def _take(run: OfflineRun, record: Record) -> None:
    match record.WhichOneof("record_type"):
        case "run":
            told = record.run
            run.id, run.project, run.group = told.run_id, told.project, told.run_group
            run.job_type, run.name, run.tags = told.job_type, told.display_name, tuple(told.tags)
            run.notes = told.notes or run.notes
            run.config |= _values(told.config.update)
        case "config":
            run.config |= _values(record.config.update)
        case "history":
            run.history.append(_values(record.history.item))
        case "summary":
            run.summary |= _values(record.summary.update)
        case "exit":
            run.exit_code = record.exit.exit_code
        case "preempting":
            run.preempting = True


def _values(items: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        *above, name = item.nested_key or [item.key]
        place = values
        for each in above:
            place = place.setdefault(each, {})
        place[name] = json.loads(item.value_json)
    return values
