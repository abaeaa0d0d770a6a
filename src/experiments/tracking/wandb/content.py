"""What Weights & Biases is told of a run, in its own terms; the SDK is imported when it is used."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...durability.journal import Record
from ..log_lines import from_epoch
from ..series import metric_values, text_of
from ..tracker import RunConclusion, RunDescription, Table

if TYPE_CHECKING:
    import wandb

GLOBAL_STEP = "global_step"
"""The x-axis of every metric: timesteps of training."""
LONGEST_TAG = 64
LONGEST_ARTIFACT_NAME = 128
LARGEST_PAGE = 1 << 20
"""Bytes of an HTML file that is shown beside the charts; a larger one is an artifact only."""


def run_config(description: RunDescription) -> dict[str, Any]:
    """The run's configuration: the arm's parameters, and where it comes from."""
    code = description.code
    about = {
        "id": description.experiment_id,
        "arm": description.run.arm,
        "seed": description.run.seed,
        "partner": description.partner.name if description.partner else None,
        "difference": {
            name: {"baseline": _plain(baseline), "variant": _plain(variant)}
            for name, (baseline, variant) in description.differences.items()
        },
        "commit": code.commit,
        "branch": code.branch,
        "repository": code.repository,
        "host": description.host,
        "command": description.command,
    }
    parameters = {name: _plain(value) for name, value in description.parameters.items()}
    return {**parameters, **{f"experiment/{name}": value for name, value in about.items()}}


def notes_of(description: RunDescription, verdict: str = "") -> str:
    """Hypothesis, comment and, once there is one, the verdict."""
    return "\n\n".join(filter(None, (description.hypothesis, description.comment, verdict)))


def tags_of(description: RunDescription) -> tuple[str, ...]:
    """The tags, at the length that the server accepts, each once."""
    cut = (tag.strip()[:LONGEST_TAG] for tag in description.tags)
    return tuple(dict.fromkeys(tag for tag in cut if tag))


def text_files(description: RunDescription) -> dict[str, str]:
    """Files that are shown with every run, by the names under which they are looked for."""
    files = {"requirements.txt": description.packages, "diff.patch": description.code.diff}
    return {name: text for name, text in files.items() if text}


def history_row(record: Record, *, pages: bool) -> dict[str, Any] | None:
    """A record as a row of the history, NaN and infinities as they are; None without metrics.

    `pages`: whether a text becomes a page of its own, which takes a file, or stays a plain text.
    """
    row: dict[str, Any] = dict(metric_values(record))
    if record.get("kind") == "text":
        text = str(record.get("text") or "")
        row[str(record.get("name") or "text")] = _page(text) if pages else text
    return {GLOBAL_STEP: record["step"], **row} if row else None


def log_line(record: Record) -> str | None:
    """What a record says in words, for the run's log; None where it says nothing there."""
    level, text = ("", "") if record.get("kind") == "text" else text_of(record)
    moment = from_epoch(record.get("time"))
    return f"{moment or ''} {level} {text}".lstrip() if text else None


def summary_of(conclusion: RunConclusion) -> dict[str, Any]:
    """Single values, and in words how the run and the experiment ended."""
    said = {"verdict": conclusion.verdict, "error": conclusion.error}
    return {
        **conclusion.single_values,
        "status": conclusion.status.value,
        **{name: text for name, text in said.items() if text},
    }


def panels(conclusion: RunConclusion) -> dict[str, Any]:
    """Tables, figures and small HTML pages, by the panel's name."""
    import wandb

    found: dict[str, Any] = {
        f"tables/{name}": _table(table) for name, table in conclusion.tables.items()
    }
    for name, path in conclusion.figures.items():
        found[f"figures/{name}"] = wandb.Image(str(path))
    for name, path in _pages(conclusion.artifacts):
        found[name] = wandb.Html(path.read_text(encoding="utf-8"), inject=False)
    return found


def artifacts(
    description: RunDescription, conclusion: RunConclusion, *, model: bool
) -> Iterator[wandb.Artifact]:
    """The run's files as one artifact, and where wanted the model as another.

    The files are named, not copied: they have to stay until everything is stored.
    """
    files = {f"{name}{path.suffix}": path for name, path in conclusion.artifacts.items()}
    if files:
        yield _artifact(description, "results", files)
    if model and conclusion.model is not None:
        yield _artifact(description, "model", {"model.zip": conclusion.model})


def _artifact(description: RunDescription, kind: str, files: Mapping[str, Path]) -> wandb.Artifact:
    import wandb

    name = f"{description.experiment_id}-{description.run.name}-{kind}"
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-LONGEST_ARTIFACT_NAME:]
    artifact = wandb.Artifact(name, kind)
    for inner, path in files.items():
        artifact.add_file(str(path), inner, skip_cache=True, policy="immutable")
    return artifact


def _pages(files: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    for name, path in files.items():
        if path.suffix == ".html" and path.stat().st_size <= LARGEST_PAGE:
            yield name, path


def _page(text: str) -> wandb.Html:
    import wandb

    return wandb.Html(f"<pre>{html.escape(text)}</pre>", inject=False)


def _table(table: Table) -> wandb.Table:
    import wandb

    rows = [list(row) for row in table.rows]
    return wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)


def _plain(value: Any) -> Any:
    """A value that is JSON for the server too, which has no infinities outside of metrics."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)
