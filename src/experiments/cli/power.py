"""``experiments power``: how many seeds a question takes, and what a number of seeds can show."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose


def power(
    effect: Annotated[
        float | None,
        typer.Option(metavar="SIZE", help="Difference of the means to be shown."),
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option(
            metavar="SIZE",
            help="Standard deviation over seeds; with 1, effects are in standard deviations.",
        ),
    ] = None,
    pilot: Annotated[
        str | None,
        typer.Option(
            metavar="ID|FILE",
            help="Take it from an experiment, or from a CSV file as for `compare --scores`.",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Accepted share of false alarms; default: the pilot's own, else 0.05.",
        ),
    ] = None,
    wanted_power: Annotated[
        float,
        typer.Option(
            "--power", metavar="SHARE", help="Probability with which the effect is to be shown."
        ),
    ] = 0.8,
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Compare runs with the same seed in pairs; default: as the pilot does."
        ),
    ] = False,
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    json: Json = False,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Print how many seeds an effect takes, and the smallest effect that 3 to 30 seeds show."""
    from .planning import Question, tell_plan

    return tell_plan(Question(effect, sd, pilot, alpha, wanted_power, paired, output_dir, json))
