"""``experiments compare``: experiments that exist, beside each other; or one's two arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from ..domain.errors import UsageError
from . import stored
from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose


def compare(
    experiment_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="The experiments' ids; of a single one its arms."),
    ] = None,
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    json: Json = False,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Compare experiments: settings, results, verdicts, and where learning curves cross."""
    ids = _checked(experiment_ids or [])
    found = [stored.find(output_dir, each) for each in ids]

    from .across import across
    from .compared import compared

    told = across([compared(stored.read(paths)) for paths in found])
    if json:
        from .across_json import as_json
        from .json_output import write_object

        write_object(as_json(told, output_dir))
    else:
        from .across_view import print_across
        from .screen import results_console

        print_across(results_console(), told)
    return 0


def _checked(ids: Sequence[str]) -> Sequence[str]:
    """Refuse no id at all, and one that is named twice.

    Raises:
        UsageError: naming it.
    """
    if not ids:
        raise UsageError(
            "no experiment named",
            remedy="name one or more ids; `experiments list` shows what there is",
        )
    twice = [each for each, count in Counter(ids).items() if count > 1]
    if twice:
        raise UsageError(
            f"{', '.join(twice)} named twice"[:200],
            remedy="name each experiment once; of a single one the two arms are compared",
        )
    return ids
