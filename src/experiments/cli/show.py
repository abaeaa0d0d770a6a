"""``experiments show``: one experiment, from its files."""

from __future__ import annotations

from typing import Annotated

import typer

from . import stored
from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose
from .wording import printable


def show(
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="The experiment's id.")],
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    json: Json = False,
    verbose: Verbose = 0,
) -> int:
    """Show one experiment: its arms, runs, comparison, files and problems."""
    from . import outcome

    experiment = stored.read(stored.find(output_dir, experiment_id))
    if json:
        from .json_output import write_object

        write_object(
            {
                **outcome.as_json(experiment),
                "hypothesis": experiment.hypothesis,
                "created": experiment.created,
                "differences": experiment.differences,
                "runs": experiment.runs,
                "problems": list(outcome.problems(experiment)),
            }
        )
    else:
        _print(experiment, verbose)
    return 0


def _print(experiment: stored.StoredExperiment, verbose: int) -> None:
    from rich.text import Text

    from . import outcome, tables
    from .screen import results_console

    screen = results_console()
    screen.print(Text(printable(experiment.paths.experiment_id), style="bold"))
    if experiment.hypothesis:
        screen.print(Text(printable(experiment.hypothesis)))
    screen.print(Text(f"{printable(experiment.status)} · created {printable(experiment.created)}"))
    screen.print()
    if experiment.differences:
        screen.print(tables.differences_table(experiment.differences))
        screen.print()
    if experiment.runs:
        screen.print(tables.runs_table(experiment.runs, with_hashes=verbose > 0))
        screen.print()
    else:
        name = printable(experiment.paths.experiment_id)
        screen.print(Text(f"`experiments watch {name}` shows its runs", style="dim"))
        screen.print()
    outcome.print_outcome(screen, experiment)
