"""Tables as Parquet files, by the optional package pyarrow."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ..analysis.export import Table, kind_of
from ..domain.errors import MissingExtraError, install_extra
from ..durability.files import replacing


def write_parquet(path: Path, table: Table) -> None:
    """Write a table whose columns have the same types whatever is in them.

    Raises:
        MissingExtraError: when pyarrow is not installed.
        StorageError: when the disk refuses.
    """
    arrow, parquet = _arrow()
    types = {
        "text": arrow.string(),
        "whole": arrow.int64(),
        "number": arrow.float64(),
        "truth": arrow.bool_(),
        "texts": arrow.list_(arrow.string()),
        "wholes": arrow.list_(arrow.int64()),
    }
    rows = list(table.rows)
    columns = {}
    for at, name in enumerate(table.columns):
        values = [row[at] for row in rows]
        kind = kind_of(name, values)
        columns[name] = arrow.array([_value(value, kind) for value in values], types[kind])
    with replacing(path) as temporary:
        parquet.write_table(arrow.table(columns), temporary)


def _arrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError(
            "the format parquet needs the package pyarrow, which is not installed",
            remedy=install_extra("parquet"),
        ) from error


def _value(value: Any, kind: str) -> Any:
    """The value as its column takes it; what is no text in a column of text, as JSON."""
    if value is None:
        return None
    match kind:
        case "text":
            return value if isinstance(value, str) else json.dumps(value)
        case "number":
            return float(value)
        case "whole":
            return int(value)
        case _:
            return value
