"""``experiments list``: what lies below the output directory."""

from __future__ import annotations

from typing import Any

from ..domain.paths import ExperimentPaths
from . import stored
from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose
from .wording import printable, shortened

HYPOTHESIS_CHARACTERS = 60


def list_experiments(
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR, json: Json = False, verbose: Verbose = 0
) -> int:
    """List the experiments below the output directory."""
    found = [ExperimentPaths.under(output_dir, each) for each in stored.experiment_ids(output_dir)]
    entries = [summary(stored.read(paths)) for paths in found]
    if json:
        from .json_output import write_object

        write_object({"output_dir": str(output_dir), "experiments": entries})
    else:
        _print(entries, str(output_dir), verbose)
    return 0


def summary(experiment: stored.StoredExperiment) -> dict[str, Any]:
    """One experiment as an entry of the list."""
    return {
        "experiment_id": experiment.paths.experiment_id,
        "status": experiment.status,
        "verdict": experiment.comparison.get("verdict"),
        "runs_done": experiment.runs_done,
        "runs": experiment.runs_planned,
        "created": experiment.created,
        "hypothesis": experiment.hypothesis,
        "problems": list(experiment.problems),
    }


def _print(entries: list[dict[str, Any]], output_dir: str, verbose: int) -> None:
    from .screen import results_console
    from .tables import row, table
    from .wording import UNKNOWN, moment

    screen = results_console()
    if not entries:
        screen.print(f"no experiments under {printable(output_dir)}", soft_wrap=True)
        return
    overview = table("id", "status", "verdict", "runs", "created", "hypothesis")
    for entry in entries:
        hypothesis = str(entry["hypothesis"] or UNKNOWN)
        row(
            overview,
            entry["experiment_id"],
            entry["status"],
            entry["verdict"] or UNKNOWN,
            f"{entry['runs_done']}/{entry['runs'] or '?'}",
            moment(entry["created"]),
            hypothesis if verbose else shortened(hypothesis, HYPOTHESIS_CHARACTERS),
        )
    screen.print(overview)
