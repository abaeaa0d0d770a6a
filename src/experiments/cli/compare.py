"""``experiments compare``: experiments beside each other, one's two arms, or a table of scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..domain.errors import UsageError
from . import stored
from .options import DEFAULT_OUTPUT_DIR, Json, OutputDir, Verbose


class Direction(StrEnum):
    """Whether more is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


def compare(
    experiment_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID...", help="Experiments to compare; of a single one, its arms are compared."
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare a CSV file of another tool instead: columns arm, seed, score[, step].",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --scores: the arm to compare against; default: the first."
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="With --scores: accepted share of false alarms; default: 0.05."
        ),
    ] = None,
    direction: Annotated[
        Direction | None,
        typer.Option(help="With --scores: whether more or less is better; default: maximize."),
    ] = None,
    equivalence_margin: Annotated[
        float | None,
        typer.Option(
            metavar="SIZE", help="With --scores: effects smaller than this count as none."
        ),
    ] = None,
    minimum_effect: Annotated[
        float | None,
        typer.Option(metavar="SIZE", help="With --scores: the smallest effect worth finding."),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="With --scores: the score given to a failed run (status failed, no score).",
        ),
    ] = None,
    paired: Annotated[
        bool,
        typer.Option("--paired", help="With --scores: compare runs with the same seed in pairs."),
    ] = False,
    sequential: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST,BATCH,MAX",
            help="With --scores: sequential design, in seeds per arm; seeds in ascending order.",
        ),
    ] = None,
    output_dir: OutputDir = DEFAULT_OUTPUT_DIR,
    json: Json = False,
    verbose: Verbose = 0,  # noqa: ARG001 - read from the arguments when an error is shown
) -> int:
    """Compare experiments, or the scores of another tool: differences, results, verdicts."""
    from .scores import ScoresRequest, finite, given_rule, parse_looks, tell_verdict

    rule = {
        "alpha": alpha,
        "direction": None if direction is None else direction.value,
        "equivalence_margin": equivalence_margin,
        "minimum_effect": minimum_effect,
        "paired": paired or None,
    }
    if scores is None:
        others = {"baseline": baseline, "sequential": sequential, "floor": floor}
        _refuse_without_scores({**rule, **others})
        return _compare_experiments(_checked(experiment_ids or []), output_dir, json=json)
    if experiment_ids:
        raise UsageError(
            "both experiments and --scores are given",
            where=", ".join(experiment_ids)[:200],
            remedy="compare experiments, or the scores of a file",
        )
    looks = None if sequential is None else parse_looks(sequential)
    request = ScoresRequest(
        scores, baseline, given_rule(rule), looks, None if floor is None else finite(floor), json
    )
    return tell_verdict(request)


def _compare_experiments(ids: Sequence[str], output_dir: Path, *, json: bool) -> int:
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


def _refuse_without_scores(options: dict[str, object]) -> None:
    """Refuse a decision rule for experiments, whose own was fixed before they began.

    Raises:
        UsageError: naming the option.
    """
    for name, value in options.items():
        if value is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} applies only to --scores FILE",
                remedy="leave it out: an experiment's rule is in its file",
            )


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
