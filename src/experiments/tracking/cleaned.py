"""What is told, without secrets, and in texts that UTF-8 can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..domain.redaction import redact_data
from ..durability.journal import Record
from .files_without_secrets import without_secrets
from .tracker import RunConclusion, RunDescription, Table

Value = TypeVar("Value")

_NUMBERS = frozenset({"metrics", "resources"})
"""Kinds of records that hold no text."""


def cleaned(value: Value, secrets: Set[str]) -> Value:
    """Plain data as it may be told; half a surrogate pair is escaped."""
    clean: Value = _utf8(redact_data(value, secrets))
    return clean


def cleaned_record(record: Record, secrets: Set[str]) -> Record:
    """A record as it may be told; those of numbers are, as they are."""
    return record if record.get("kind") in _NUMBERS else cleaned(record, secrets)


def cleaned_description(description: RunDescription, secrets: Set[str]) -> RunDescription:
    """A description as it may be told."""
    code = description.code
    return replace(
        description,
        name=cleaned(description.name, secrets),
        parameters=cleaned(description.parameters, secrets),
        differences=cleaned(description.differences, secrets),
        tags=tuple(cleaned(tag, secrets) for tag in description.tags),
        comment=cleaned(description.comment, secrets),
        hypothesis=cleaned(description.hypothesis, secrets),
        code=replace(
            code,
            repository=cleaned(code.repository, secrets),
            diff=cleaned(code.diff, secrets),
            entry_point=cleaned(code.entry_point, secrets),
        ),
        packages=cleaned(description.packages, secrets),
        command=cleaned(description.command, secrets),
    )


def cleaned_conclusion(conclusion: RunConclusion, secrets: Set[str], folder: Path) -> RunConclusion:
    """A conclusion as it may be told; of texts with secrets, copies in `folder` are.

    Another file that holds a secret is left out.
    """
    tables = {
        name: Table(table.columns, tuple(tuple(cleaned(list(row), secrets)) for row in table.rows))
        for name, table in conclusion.tables.items()
    }
    model = {"model": conclusion.model} if conclusion.model else {}
    return replace(
        conclusion,
        tables=tables,
        figures=dict(_cleaned_files(conclusion.figures, secrets, folder / "figures")),
        artifacts=dict(_cleaned_files(conclusion.artifacts, secrets, folder / "artifacts")),
        model=dict(_cleaned_files(model, secrets, folder)).get("model"),
        verdict=cleaned(conclusion.verdict, secrets),
        error=cleaned(conclusion.error, secrets),
    )


def _cleaned_files(
    files: Mapping[str, Path], secrets: Set[str], folder: Path
) -> Iterator[tuple[str, Path]]:
    for number, (name, path) in enumerate(files.items()):
        own = folder / str(number)  # files of different places may have one name
        own.mkdir(parents=True, exist_ok=True)
        content = without_secrets(path, own, secrets)
        if content is not None:
            yield name, content


def _utf8(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case Mapping():
            return {_utf8(name): _utf8(item) for name, item in value.items()}
        case list() | tuple():
            return [_utf8(item) for item in value]
    return value
