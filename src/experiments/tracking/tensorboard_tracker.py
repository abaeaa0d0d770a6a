"""TensorBoard: event files of each run, in a folder of its own, written without torch."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.errors import StorageError
from ..domain.metric_names import EVAL_RETURN_MEAN
from ..durability.files import json_text, make_directory
from ..durability.journal import Record
from .series import metric_values, text_of
from .tracker import RunConclusion, RunDescription, Table, TrackerSettings

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

FOLDER = "tensorboard"
"""Where the files lie in the experiment's directory if no other place is named."""
_PNG_SIZE = struct.Struct(">II")
_PNG_SIZE_OFFSET = 16


class TensorboardTracker:
    """Appends to the event files of a run; a run's remote id is the folder that they lie in."""

    name = "tensorboard"
    restarts = False

    def __init__(self, settings: TrackerSettings) -> None:
        self._root = settings.log_dir or settings.directory / FOLDER
        self._writers: dict[str, EventFileWriter] = {}

    def open_run(self, description: RunDescription, remote_id: str | None) -> str:
        """Open a new event file in the run's folder; those of earlier tellings stay beside it."""
        is_new = remote_id is None
        # not where it was: an experiment may have been moved, with its files
        folder = self._root / description.experiment_id / description.run.name
        remote_id = str(folder)
        if remote_id not in self._writers:
            self._writers[remote_id] = _event_file(folder)
            if is_new:
                self._describe(remote_id, description)
        return remote_id

    def write_records(self, remote_id: str, records: Sequence[Record]) -> None:
        """Write scalars and texts at the records' steps and times; NaN and infinity are kept."""
        for record in records:
            step = int(record["step"])
            moment = float(record.get("time") or time.time())
            for summary in _summaries(record):
                self._add(remote_id, summary, step, moment)
        self._writers[remote_id].flush()

    def finish_run(self, remote_id: str, conclusion: RunConclusion) -> None:
        """Write final values, tables and figures at the last step, and close the file."""
        for summary in _conclusion(conclusion):
            self._add(remote_id, summary, conclusion.step, time.time())
        self._writers.pop(remote_id).close()

    def url_of(self, remote_id: str) -> str | None:
        """The run's folder."""
        return remote_id

    def close(self) -> None:
        """Close the files that are still open."""
        while self._writers:
            self._writers.popitem()[1].close()

    def _describe(self, remote_id: str, description: RunDescription) -> None:
        from tensorboard.plugins.hparams.summary_v2 import (
            HParam,
            Metric,
            hparams_config_pb,
            hparams_pb,
        )

        plain = {name: _plain(value) for name, value in description.parameters.items()}
        names = [HParam(name) for name in plain]
        moment = time.time()
        self._add(remote_id, hparams_config_pb(names, [Metric(EVAL_RETURN_MEAN)]), 0, moment)
        self._add(remote_id, hparams_pb(plain, trial_id=description.uid), 0, moment)
        for tag, text in _texts(description).items():
            self._add(remote_id, _text(tag, text), 0, moment)

    def _add(self, remote_id: str, summary: Summary, step: int, moment: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writers[remote_id].add_event(Event(wall_time=moment, step=step, summary=summary))


def _event_file(folder: Path) -> EventFileWriter:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    try:
        make_directory(folder)
        return EventFileWriter(str(folder))
    except OSError as error:
        raise StorageError(
            f"TensorBoard's files cannot be written: {error.strerror or error}",
            where=str(folder),
            remedy="name another place with --log-dir",
        ) from error


def _summaries(record: Record) -> Iterator[Summary]:
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    for name, value in metric_values(record):
        yield scalar_pb(name, value)
    level, text = text_of(record)
    if record.get("kind") == "text":
        yield _text(str(record.get("name") or "text"), str(record.get("text") or ""))
    elif text:
        yield _text("log", f"{level} {text}")


def _texts(description: RunDescription) -> dict[str, str]:
    differences = Table(
        ("setting", "baseline", "variant"),
        tuple((name, *pair) for name, pair in description.differences.items()),
    )
    told = {
        "experiment/hypothesis": description.hypothesis,
        "experiment/comment": description.comment,
        "experiment/tags": ", ".join(description.tags),
        "experiment/command": description.command,
        "experiment/commit": description.code.commit or "",
        "experiment/differences": _markdown(differences) if differences.rows else "",
    }
    return {tag: text for tag, text in told.items() if text}


def _conclusion(conclusion: RunConclusion) -> Iterator[Summary]:
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    for name, value in conclusion.single_values.items():
        yield scalar_pb(name if name.startswith("final/") else f"final/{name}", value)
    for name, table in conclusion.tables.items():
        yield _text(f"tables/{name}", _markdown(table))
    for name, path in conclusion.figures.items():
        yield _image(f"figures/{name}", path.read_bytes())
    said = {
        "run/status": conclusion.status.value,
        "run/error": conclusion.error,
        "experiment/verdict": conclusion.verdict,
    }
    for tag, text in said.items():
        if text:
            yield _text(tag, text)


def _text(tag: str, text: str) -> Summary:
    from tensorboard.plugins.text.summary_v2 import text_pb

    return text_pb(tag, text.encode(errors="backslashreplace").decode())


def _image(tag: str, png: bytes) -> Summary:
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = _PNG_SIZE.unpack_from(png, _PNG_SIZE_OFFSET)
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def _markdown(table: Table) -> str:
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _plain(value: Any) -> bool | float | str:
    if isinstance(value, bool | int | float | str):
        return value
    return json_text(value) if isinstance(value, Mapping | list | tuple) else str(value)
