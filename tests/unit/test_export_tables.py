"""An experiment's results as tidy tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from src.experiments.analysis.export import (
    Table,
    arms_table,
    comparison_table,
    evaluations_table,
    kind_of,
    metrics_table,
    runs_table,
)

DOCUMENT: dict[str, Any] = {
    "experiment_id": "pair",
    "runs": [
        {"arm": "baseline", "seed": 1, "final_return": 3.0, "error": None},
        {"arm": "variant", "seed": 1, "final_return": None, "error": "NaN", "fault": "run"},
    ],
    "arms": {"baseline": {"arm": "baseline", "seeds": [1]}, "variant": {"arm": "variant"}},
    "comparison": {
        "verdict": "no_difference_shown",
        "effect": 2.0,
        "interval": [-1.0, 5.0],
        "looks": [{"n": 4}],
        "n_per_arm": {"baseline": 1, "variant": 0},
        "failed_per_arm": {"baseline": 0, "variant": 1},
    },
}


def records(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_each_run_is_a_row_also_one_that_failed() -> None:
    assert records(runs_table(DOCUMENT)) == [
        {"experiment_id": "pair", "fault": None, **DOCUMENT["runs"][0]},
        {"experiment_id": "pair", **DOCUMENT["runs"][1]},
    ]


def test_each_arm_is_a_row() -> None:
    assert [row["seeds"] for row in records(arms_table(DOCUMENT))] == [[1], None]


def test_the_comparison_is_one_row_without_nested_values() -> None:
    (row,) = records(comparison_table(DOCUMENT))

    assert json.loads(row.pop("looks")) == [{"n": 4}]
    assert row == {
        "experiment_id": "pair",
        "verdict": "no_difference_shown",
        "effect": 2.0,
        "interval_low": -1.0,
        "interval_high": 5.0,
        "n_baseline": 1,
        "n_variant": 0,
        "failed_baseline": 0,
        "failed_variant": 1,
    }


def test_a_comparison_without_an_interval_keeps_its_columns() -> None:
    bare = {"experiment_id": "pair", "comparison": {"interval": None, "looks": []}}

    (row,) = records(comparison_table(bare))
    assert row == dict.fromkeys(("interval_low", "interval_high", "looks")) | {
        "experiment_id": "pair"
    }


def test_evaluations_have_a_column_for_each_metric_that_any_of_them_has() -> None:
    table = evaluations_table(
        "pair",
        [
            (["baseline", 1, 100, False, 5], {"eval/return_mean": 1.0}),
            (["variant", 1, 200, True, 9], {"eval/return_mean": 2.0, "eval/extra": 7.0}),
        ],
    )

    assert table.columns[-2:] == ("eval/extra", "eval/return_mean")
    assert list(table.rows) == [
        ["pair", "baseline", 1, 100, False, 5, None, 1.0],
        ["pair", "variant", 1, 200, True, 9, 7.0, 2.0],
    ]


def test_metrics_are_long_and_read_one_by_one() -> None:
    def values():
        yield "baseline", 1, 100, "train/loss", 0.5
        raise AssertionError("read further than was asked for")

    rows = iter(metrics_table("pair", values()).rows)
    assert next(rows) == ["pair", "baseline", 1, 100, "train/loss", 0.5]


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("seed", [], "whole"),
        ("error", [None], "text"),
        ("auc_std", [None], "number"),
        ("n_variant", [], "whole"),
        ("deviations", [], "texts"),
        ("eval/return_mean", [1.0, None, 2], "number"),
        ("something_new", ["a", None], "text"),
    ],
)
def test_a_column_has_the_same_kind_whatever_is_in_it(
    column: str, values: list[Any], kind: str
) -> None:
    assert kind_of(column, values) == kind
