"""An experiment's results as tidy tables: one row a run, an arm, a comparison, an evaluation.

Pure functions on the content of `results.json`. Every table begins with the experiment's id, so
that those of several experiments can be put one below the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..durability.files import json_text

Document = Mapping[str, Any]
Row = Sequence[Any]
Evaluation = tuple[Sequence[Any], Mapping[str, float]]
"""Seed by seed: arm, seed, step, whether final, episodes; and the metrics by name."""

ID = "experiment_id"
EVALUATION_COLUMNS = ("arm", "seed", "step", "final", "episodes")
METRIC_COLUMNS = ("arm", "seed", "step", "metric", "value")

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("experiment_id", "arm", "status", "algorithm", "environment"), "text"),
    **dict.fromkeys(("resume", "parameters_sha256", "error", "fault"), "text"),
    **dict.fromkeys(("metric", "looks", "verdict", "sentence"), "text"),
    **dict.fromkeys(("seed", "step", "episodes", "total_timesteps", "attempts"), "whole"),
    **dict.fromkeys(("planned_timesteps", "runs_completed"), "whole"),
    **dict.fromkeys(("training_time", "evaluation_time", "diagnostics_time"), "number"),
    **dict.fromkeys(("final_return", "final_mean_reward", "final_std_reward", "auc"), "number"),
    **dict.fromkeys(("final_return_std", "auc_std", "effect", "alpha", "p_value"), "number"),
    **dict.fromkeys(("interval_low", "interval_high", "value"), "number"),
    **dict.fromkeys(("seeds", "resumed_from_steps"), "wholes"),
    "deviations": "texts",
    **dict.fromkeys(("final", "learned", "analysed"), "truth"),
}
"""What a column holds, so that a table without any value in it has the same form as others."""


@dataclass(frozen=True)
class Table:
    """Named columns, and rows of as many values; None where there is none."""

    columns: tuple[str, ...]
    rows: Iterable[Row]
    """May be read once."""


def runs_table(document: Document) -> Table:
    """One row a run: the fields of `results.json`, failed runs included."""
    return _records_table(document, document.get("runs") or ())


def arms_table(document: Document) -> Table:
    """One row an arm: means over its seeds."""
    return _records_table(document, (document.get("arms") or {}).values())


def comparison_table(document: Document) -> Table:
    """One row: the verdict and what it rests on."""
    comparison = dict(document.get("comparison") or {})
    interval = comparison.pop("interval", None) or (None, None)
    looks = comparison.pop("looks", None)
    counts = {
        f"{prefix}_{arm}": count
        for prefix, name in (("n", "n_per_arm"), ("failed", "failed_per_arm"))
        for arm, count in (comparison.pop(name, None) or {}).items()
    }
    bounds = dict(zip(("interval_low", "interval_high"), interval, strict=True))
    told = {"looks": json_text(looks)} if looks else {"looks": None}
    return _records_table(document, [{**comparison, **bounds, **counts, **told}])


def evaluations_table(experiment_id: str, evaluations: Sequence[Evaluation]) -> Table:
    """One row an evaluation, its metrics in columns of their own; None where one has not it."""
    metrics = sorted({name for _, values in evaluations for name in values})
    rows = (
        [experiment_id, *cells, *(values.get(name) for name in metrics)]
        for cells, values in evaluations
    )
    return Table((ID, *EVALUATION_COLUMNS, *metrics), rows)


def metrics_table(experiment_id: str, values: Iterable[Row]) -> Table:
    """One row a metric's value: `values` are arm, seed, step, metric, value."""
    return Table((ID, *METRIC_COLUMNS), ([experiment_id, *row] for row in values))


def kind_of(column: str, values: Iterable[Any] = ()) -> str:
    """What a column holds: text, whole, number, truth, or texts and wholes in lists.

    One that is not known holds numbers, or text as soon as one of its values is none.
    """
    if column in KINDS:
        return KINDS[column]
    if column.startswith(("n_", "failed_")):
        return "whole"
    told = (value for value in values if value is not None)
    return "number" if all(isinstance(value, int | float) for value in told) else "text"


def _records_table(document: Document, records: Iterable[Document]) -> Table:
    found = list(records)
    columns = list(dict.fromkeys(name for record in found for name in record))
    rows = [[document.get(ID), *(record.get(column) for column in columns)] for record in found]
    return Table((ID, *columns), rows)
