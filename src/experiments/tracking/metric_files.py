"""The folder ``metrics/``: the same numbers as JSON and as one CSV file a metric."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..durability.files import write_atomically, write_json
from .series import Point, RunStreams, evaluation_rows, metric_series, single_values

COLUMNS = ("arm", "seed", "step", "value")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_STEM = 120


def write_metrics(folder: Path, streams: Sequence[RunStreams], results: Mapping[str, Any]) -> None:
    """Write every file of the folder, and remove CSV files of metrics that are no more."""
    series = metric_series(streams)
    write_json(folder / "scalar_metrics.json", scalar_metrics(series))
    write_json(folder / "single_values.json", single_values(streams))
    write_json(folder / "tables.json", tables(streams, results))
    names = {csv_name(metric): metric for metric in series}
    for name, metric in names.items():
        write_atomically(folder / name, csv_text(series[metric]))
    for stale in folder.glob("*.csv"):
        if stale.name not in names:
            stale.unlink()


def scalar_metrics(series: Mapping[str, Sequence[Point]]) -> dict[str, Any]:
    """``{metric: {run: [{"step": …, "value": …}, …]}}``."""
    metrics: dict[str, Any] = {}
    for metric, points in series.items():
        for point in points:
            runs = metrics.setdefault(metric, {})
            runs.setdefault(point.run.name, []).append({"step": point.step, "value": point.value})
    return metrics


def tables(streams: Sequence[RunStreams], results: Mapping[str, Any]) -> dict[str, Any]:
    """``{table: {"columns": […], "rows": [[…], …]}}``: the runs' results and all evaluations."""
    runs = results.get("runs") or []
    columns = list(dict.fromkeys(name for run in runs for name in run))
    evaluation_columns, evaluations = evaluation_rows(streams)
    return {
        "runs": {"columns": columns, "rows": [[run.get(name) for name in columns] for run in runs]},
        "evaluations": {"columns": evaluation_columns, "rows": evaluations},
    }


def csv_text(points: Sequence[Point]) -> str:
    """Points as CSV; numbers are written in full, so that they read back unchanged."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in points:
        writer.writerow((csv_cell(point.run.arm), point.run.seed, point.step, repr(point.value)))
    return text.getvalue()


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
