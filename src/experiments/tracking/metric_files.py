"""The folder ``metrics/``: the same numbers as JSON and as one CSV file a metric.

Runs are taken in one after the other, and no more than one run's rows are held at a time: the rows
go into the CSV files, from which `scalar_metrics.json` is made at the end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO

from ..domain.records import RunKey
from ..durability.files import replacing, write_json
from .json_chunks import INDENT, array_chunks, object_chunks, value_chunks, write_chunks
from .series import RunStreams, evaluation_rows, final_values, metric_values
from .spool import Place, Spool

COLUMNS = ("arm", "seed", "step", "value")
EVALUATION_COLUMNS = ("arm", "seed", "step", "final", "episodes")

MOST_WAITING_CHARACTERS = 4_000_000
"""Rows wait for each other up to this size, so that a file is not opened again for each run."""
ROWS_AT_ONCE = 4_096
"""Points that are written together."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_STEM = 120
_NOT_FINITE = frozenset({"nan", "inf", "-inf"})
_OUTER, _INNER = INDENT * 3, INDENT * 4


class MetricFiles:
    """Takes in run after run; `open_metric_files` makes one."""

    def __init__(self, folder: Path, spool: Spool, opened: ExitStack) -> None:
        self._folder = folder
        self._spool = spool
        self._opened = opened
        self._temporary: dict[str, Path] = {}
        self._waiting: dict[str, list[str]] = {}
        self._waiting_characters = 0
        self._counts: dict[str, list[tuple[str, int]]] = {}
        """By metric: how many rows each run has, in their order."""
        self._single_values: dict[str, dict[str, float]] = {}
        self._evaluations: list[Place] = []
        self._evaluation_metrics: set[str] = set()

    def add(self, stream: RunStreams) -> None:
        """Take in a run's metrics, in logical order.

        Raises:
            StorageError: when the disk refuses.
        """
        start = _csv_start(stream.run)
        counts: Counter[str] = Counter()
        for record in stream:
            row = f"{start},{int(record['step'])},"
            for name, value in metric_values(record):
                line = f"{row}{value!r}\n"
                self._waiting.setdefault(name, []).append(line)
                self._waiting_characters += len(line)
                counts[name] += 1
            if self._waiting_characters > MOST_WAITING_CHARACTERS:
                self.flush()
        for name, count in counts.items():
            self._counts.setdefault(name, []).append((stream.run.name, count))
        for name, value in final_values(stream):
            self._single_values.setdefault(name, {})[stream.run.name] = value
        self._add_evaluations(stream)

    def write_documents(self, results: Mapping[str, Any]) -> None:
        """Write the JSON files, and remove CSV files of metrics that are no more.

        To be called after the block of `open_metric_files`: it reads the CSV files in their places.

        Raises:
            StorageError: when the disk refuses.
        """
        metrics = sorted(self._counts)
        scalars = ((name, object_chunks(self._points(name), depth=1)) for name in metrics)
        write_chunks(self._folder / "scalar_metrics.json", object_chunks(scalars))
        write_json(self._folder / "single_values.json", dict(sorted(self._single_values.items())))
        write_chunks(self._folder / "tables.json", object_chunks(self._tables(results)))
        names = {csv_name(metric) for metric in metrics}
        for stale in self._folder.glob("*.csv"):
            if stale.name not in names:
                stale.unlink()

    def flush(self) -> None:
        """Write the rows that wait into their files."""
        for name, texts in self._waiting.items():
            is_new = name not in self._temporary
            if is_new:
                path = self._folder / csv_name(name)
                self._temporary[name] = self._opened.enter_context(replacing(path))
            with _text_file(self._temporary[name], "a") as file:
                if is_new:
                    file.write(",".join(COLUMNS) + "\n")
                file.writelines(texts)
        self._waiting.clear()
        self._waiting_characters = 0

    def _points(self, metric: str) -> Iterator[tuple[str, Iterable[str]]]:
        """Each run's points of a metric, out of its CSV file."""
        with _text_file(self._folder / csv_name(metric), "r") as file:
            rows = csv.reader(file)
            next(rows)
            for run, count in self._counts[metric]:
                yield run, _point_chunks(islice(rows, count))

    def _add_evaluations(self, stream: RunStreams) -> None:
        rows = evaluation_rows(stream)
        if rows:
            self._evaluations.append(self._spool.put(json.dumps(rows)))
            self._evaluation_metrics.update(*(metrics for _, metrics in rows))

    def _tables(self, results: Mapping[str, Any]) -> Iterator[tuple[str, Iterable[str]]]:
        for name, records in (
            ("runs", results.get("runs") or []),
            ("arms", list((results.get("arms") or {}).values())),
        ):
            columns = list(dict.fromkeys(column for record in records for column in record))
            rows = [[record.get(column) for column in columns] for record in records]
            yield name, value_chunks({"columns": columns, "rows": rows}, depth=1)
        metrics = sorted(self._evaluation_metrics)
        evaluations: list[tuple[str, Iterable[str]]] = [
            ("columns", value_chunks([*EVALUATION_COLUMNS, *metrics], depth=2)),
            ("rows", array_chunks(self._evaluation_rows(metrics), depth=2)),
        ]
        yield "evaluations", object_chunks(evaluations, depth=1)

    def _evaluation_rows(self, metrics: list[str]) -> Iterator[Iterable[str]]:
        for place in self._evaluations:
            for cells, values in json.loads(self._spool.get(place)):
                row = [*cells, *(values.get(name) for name in metrics)]
                yield value_chunks(row, depth=3)


@contextmanager
def open_metric_files(folder: Path, spool: Spool) -> Iterator[MetricFiles]:
    """The files of a folder; those of CSV take their places when the block succeeds.

    Raises:
        StorageError: when the disk refuses; files that were there are untouched.
    """
    with ExitStack() as opened:
        files = MetricFiles(folder, spool, opened)
        yield files
        files.flush()


def csv_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def csv_name(metric: str) -> str:
    """The metric's file name: ``/`` becomes ``__``; what cannot stand in one is replaced.

    Distinct metrics get distinct names, also where capital letters do not count.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", metric.replace("/", "__")).lstrip(".-")
    is_plain = stem.replace("__", "/") == metric and stem == stem.lower()
    if not is_plain or not stem or len(stem) > _LONGEST_STEM:
        digest = hashlib.sha256(metric.encode(errors="backslashreplace")).hexdigest()
        stem = f"{stem[:_LONGEST_STEM]}-{digest[:8]}"
    return f"{stem}.csv"


def _csv_start(run: RunKey) -> str:
    """The columns that all rows of a run share."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow((csv_cell(run.arm), run.seed))
    return text.getvalue()


def _point_chunks(rows: Iterator[list[str]]) -> Iterator[str]:
    """The points of a run as an array, some thousand at a time."""
    before = "[\n"
    while some := list(islice(rows, ROWS_AT_ONCE)):
        yield before + ",\n".join(_point(step, value) for _, _, step, value in some)
        before = ",\n"
    yield f"\n{INDENT * 2}]"


def _point(step: str, value: str) -> str:
    """A point as it stands in `scalar_metrics.json`; what is not finite is null."""
    finite = "null" if value in _NOT_FINITE else value
    return f'{_OUTER}{{\n{_INNER}"step": {step},\n{_INNER}"value": {finite}\n{_OUTER}}}'


def _text_file(path: Path, mode: Literal["r", "a"]) -> TextIO:
    return path.open(mode, encoding="utf-8", errors="backslashreplace", newline="")
