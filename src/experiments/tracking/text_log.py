"""`logs/text_logs.json`: what the experiment's log and the runs' streams tell in words, by time."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

from ..domain.redaction import redact_data
from .json_chunks import array_chunks, value_chunks, write_chunks
from .log_lines import LogLine
from .spool import Place, Spool


class TextLog:
    """Takes in lines of any number of logs; they are put aside until they are written in order."""

    def __init__(self, spool: Spool, secrets: Collection[str]) -> None:
        self._spool = spool
        self._secrets = secrets
        self._lines: list[tuple[str, Place]] = []

    def add(self, lines: Iterable[LogLine]) -> None:
        """Take in lines; of equal times the one that came first stays first."""
        for line in lines:
            text = "".join(value_chunks(redact_data(asdict(line), self._secrets), depth=1))
            self._lines.append((line.timestamp or "", self._spool.put(text)))

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            StorageError: when the disk refuses.
        """
        self._lines.sort(key=lambda line: line[0])
        texts = ([self._spool.get(place)] for _, place in self._lines)
        write_chunks(path, array_chunks(texts))
