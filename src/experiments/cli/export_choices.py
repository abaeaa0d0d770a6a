"""What `experiments export` can be asked for."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    JSON = "json"
    YAML = "yaml"
    PARQUET = "parquet"
    LATEX = "latex"


class What(StrEnum):
    """Which table an export holds."""

    RUNS = "runs"
    ARMS = "arms"
    COMPARISON = "comparison"
    EVALUATIONS = "evaluations"
    METRICS = "metrics"
