"""``experiments list``: what lies below the output directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose
from .wording import printable

if TYPE_CHECKING:
    from .overview import Overview


def list_experiments(
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="TAG",
            help="Only experiments with this tag. Repeatable: all must match.",
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option("--env", metavar="ID", help="Only experiments on this environment."),
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--algorithm", metavar="NAME", help="Only experiments that use this algorithm."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Only experiments created since then: 2030-01-31, 7d, 24h.",
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="Only experiments with this status."),
    ] = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> int:
    """List the experiments below the output directory; -v shows tags, comments and more."""
    from .filters import Filters, check_status, moment_since
    from .overview import overviews

    filters = Filters(
        tags=tuple(tag or ()),
        environment=env,
        algorithm=algorithm,
        since=None if since is None else moment_since(since, datetime.now(UTC)),
        status=None if status is None else check_status(status),
    )
    entries = [entry for entry in overviews(output_dir) if filters.admit(entry)]
    if json:
        _write_json(entries, output_dir)
    else:
        _print(entries, output_dir, is_filtered=filters != Filters(), in_full=verbose > 0)
    return 0


def as_json(entry: Overview) -> dict[str, Any]:
    """One experiment as `--json` shows it."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(entry).items()}


def _write_json(entries: Sequence[Overview], output_dir: Path) -> None:
    import json
    import sys

    shown = [as_json(entry) for entry in entries]
    # plain data without floats: no need to make a thousand entries strict first
    sys.stdout.write(json.dumps({"output_dir": str(output_dir), "experiments": shown}) + "\n")


def _print(
    entries: Sequence[Overview], output_dir: Path, *, is_filtered: bool, in_full: bool
) -> None:
    import sys

    from .overview_lines import overview_lines, terminal_width

    if entries:
        lines = overview_lines(entries, terminal_width(), in_full=in_full)
    else:
        like_that = " like that" if is_filtered else ""
        lines = iter([f"no experiments{like_that} under {printable(output_dir)}"])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
