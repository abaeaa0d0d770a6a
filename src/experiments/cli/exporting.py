"""What `experiments export` writes: tables and documents, to standard output or to a file."""

from __future__ import annotations

import csv
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ..analysis import export
from ..analysis.export import Table
from ..analysis.latex import latex_row, latex_table
from ..domain.errors import StorageError, UsageError
from ..domain.paths import ExperimentPaths
from ..domain.records import ExperimentStatus, RunKey, RunStatus
from ..domain.redaction import known_secrets, redact_data
from ..durability.files import json_text, replacing
from ..tracking.metric_files import csv_cell
from ..tracking.series import evaluation_rows, metric_values, read_streams
from . import stored
from .export_choices import Format, What
from .reporting import check_is_here
from .signals import Stopped
from .wording import printable

TABLES = (Format.CSV, Format.PARQUET)
STANDARD_OUTPUT = Path("-")
_FROM_STREAMS = (What.EVALUATIONS, What.METRICS)


@dataclass(frozen=True)
class Request:
    """A command line that asks for an export."""

    experiment_id: str
    output_dir: Path
    form: Format
    what: What | None = None
    output: Path | None = None
    row_only: bool = False
    modules: tuple[str, ...] = ()


def carry_out(request: Request) -> int:
    """Write what is asked for.

    Raises:
        UsageError: when the options contradict each other, or what is wanted is not here.
        MissingExtraError: when a format needs a package that is not installed.
        StorageError: when files cannot be read, or the disk refuses.
    """
    _check(request)
    paths = stored.find(request.output_dir, request.experiment_id)
    output = _checked_output(request, paths)
    if request.what in _FROM_STREAMS:
        check_is_here(paths, f"the {request.what} cannot be exported")
    document = results_of(paths, request.modules)
    if request.what in _FROM_STREAMS:
        _check_journals(paths, document)
    match request.form:
        case Format.CSV:
            with _text_output(output) as file:
                write_csv(file, table_of(document, paths, request.what))
        case Format.PARQUET:
            from .parquet import write_parquet

            assert output is not None  # noqa: S101 - checked
            write_parquet(output, table_of(document, paths, request.what))
        case _:
            with _text_output(output) as file:
                file.write(text_of(document, request.form, row_only=request.row_only))
    return 0


def results_of(paths: ExperimentPaths, modules: Sequence[str] = ()) -> Mapping[str, Any]:
    """The content of `results.json`, or what it would hold now where that is not written yet.

    Raises:
        StorageError: when the experiment cannot be read.
    """
    experiment = stored.read(paths)
    if experiment.is_final:
        document = experiment.results
    else:
        from ..experiment import Experiment
        from ..outputs.derived import results_document

        document = results_document(Experiment.load(paths.root, environment_modules=modules))
    if experiment.status != ExperimentStatus.COMPLETED.value:
        from .displays import warn

        warn(f"the experiment is {experiment.status}: these are its results so far")
    plain = json.loads(json_text(redact_data(document, known_secrets())))
    return _checked_shape(plain, paths)


def _checked_shape(document: dict[str, Any], paths: ExperimentPaths) -> dict[str, Any]:
    """Refuse what cannot be the content of a `results.json`.

    Raises:
        StorageError: naming the file.
    """
    runs, arms = document.get("runs"), document.get("arms")
    is_sound = (
        isinstance(runs, list)
        and isinstance(arms, dict)
        and isinstance(document.get("comparison"), dict)
        and all(isinstance(each, dict) for each in (*runs, *arms.values()))
    )
    if not is_sound:
        raise StorageError(
            "it does not hold an experiment's results",
            where=str(paths.results),
            remedy="restore the file from a copy",
        )
    return document


def table_of(document: Mapping[str, Any], paths: ExperimentPaths, what: What | None) -> Table:
    """The table that is asked for; the runs where none is named."""
    match what:
        case What.ARMS:
            return export.arms_table(document)
        case What.COMPARISON:
            return export.comparison_table(document)
        case What.EVALUATIONS:
            evaluations = [
                row for run in _runs(document) for row in evaluation_rows(read_streams(paths, run))
            ]
            return export.evaluations_table(paths.experiment_id, evaluations)
        case What.METRICS:
            return export.metrics_table(paths.experiment_id, _metrics(paths, document))
        case _:
            return export.runs_table(document)


def text_of(document: Mapping[str, Any], form: Format, *, row_only: bool = False) -> str:
    """The whole document as text; nothing in it can steer a terminal."""
    match form:
        case Format.YAML:
            import yaml

            return str(yaml.safe_dump(document, sort_keys=False, width=100))
        case Format.LATEX:
            return f"{latex_row(document) if row_only else latex_table(document)}\n"
        case _:
            return json.dumps(document, indent=2) + "\n"


def write_csv(file: TextIO, table: Table) -> None:
    """Write a table with a header; no cell is a formula, and what is absent is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_cell(column) for column in table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)


def _cell(value: Any) -> Any:
    match value:
        case str():
            return csv_cell(printable(value, keep_newlines=True))
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return json.dumps(value) if value else ""
    return value


def _metrics(
    paths: ExperimentPaths, document: Mapping[str, Any]
) -> Iterator[tuple[str, int, int, str, float]]:
    """Every value of every metric, a run at a time."""
    for run in _runs(document):
        for record in read_streams(paths, run):
            step = int(record["step"])
            for name, value in metric_values(record):
                yield run.arm, run.seed, step, name, value


def _runs(document: Mapping[str, Any]) -> Iterator[RunKey]:
    """The runs of the document; names that no run of ours can have are passed over."""
    for run in document.get("runs") or ():
        if run.get("arm") in stored.ARMS and isinstance(run.get("seed"), int):
            yield RunKey(run["arm"], run["seed"])


def _check(request: Request) -> None:
    """Refuse options that have no meaning together.

    Raises:
        UsageError: naming them.
    """
    if request.what is not None and request.form not in TABLES:
        raise UsageError(
            f"--what {request.what} applies to csv and parquet, not to {request.form}",
            remedy="leave it out: json and yaml hold all results, latex one row",
        )
    if request.row_only and request.form is not Format.LATEX:
        raise UsageError(
            f"--row-only applies to latex, not to {request.form}", remedy="leave it out"
        )
    if request.form is Format.PARQUET and request.output in (None, STANDARD_OUTPUT):
        raise UsageError(
            "parquet is binary and is not written to standard output",
            remedy=f"name a file: --output {request.experiment_id}.parquet",
        )


def _check_journals(paths: ExperimentPaths, document: Mapping[str, Any]) -> None:
    """Refuse a table in which a complete run would be missing.

    Raises:
        UsageError: naming the journal that is not there.
    """
    complete = {
        (run.get("arm"), run.get("seed"))
        for run in document.get("runs") or ()
        if run.get("status") == RunStatus.COMPLETED
    }
    for run in _runs(document):
        journal = paths.run(run).journal
        if (run.arm, run.seed) in complete and not journal.is_file():
            raise UsageError(
                f"the journal of {run.name} is no longer here",
                where=str(journal),
                remedy="restore it from a copy; --what runs needs no journal",
            )


def _checked_output(request: Request, paths: ExperimentPaths) -> Path | None:
    """Where to write; None for standard output. What an experiment owns is not overwritten.

    Raises:
        UsageError: when that place cannot be written over.
    """
    if request.output in (None, STANDARD_OUTPUT):
        return None
    output = request.output.resolve()  # a link stays, and its target is replaced
    if output.is_relative_to(paths.root.resolve()):
        raise UsageError(
            "--output names a place among the experiment's own files",
            where=str(request.output),
            remedy="write it somewhere else",
        )
    if output.exists() and not output.is_file():
        raise UsageError(
            "--output is not a regular file",
            where=str(request.output),
            remedy="name a file; without --output it goes to standard output",
        )
    return output


@contextmanager
def _text_output(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears when all of it is written.

    Raises:
        Stopped: when whoever reads standard output has gone.
        StorageError: when the disk refuses.
    """
    if output is not None:
        with (
            replacing(output) as temporary,
            temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            yield file
        return
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        raise Stopped(signal.SIGPIPE) from None
