"""``experiments reproduce``: whether an experiment comes out in the same bits again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose


def reproduce(
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")],
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    repository: Annotated[
        Path,
        typer.Option(metavar="PATH", help="Git repository that has the recorded commit."),
    ] = Path(),
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the reproduction in this directory; default: a temporary one."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Reproduce only the runs with this seed. Repeatable."),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Go on although package versions differ from the recorded ones."
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the recreated code and the results.")
    ] = False,
    json: Json = False,
    verbose: Verbose = 0,
) -> int:
    """Recreate the code of an experiment, train it again, and compare every run's bits."""
    from .reproducing import Wanted, tell_whether_reproduced

    wanted = Wanted(
        experiment_id=experiment_id,
        output_dir=output_dir,
        repository=repository,
        into=into,
        seeds=tuple(dict.fromkeys(seed or ())),
        anyway=anyway,
        keeps=keep,
        json=json,
        verbosity=verbose,
    )
    return tell_whether_reproduced(wanted)
