"""A pilot: runs that there are, from which the spread over seeds is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..analysis.evidence import METRICS, score
from ..analysis.power import Spread, paired_spread, pooled_spread
from ..analysis.scores_file import parse_scores
from ..domain.errors import UsageError
from ..domain.paths import EXPERIMENT_ID
from ..domain.records import RunKey
from ..durability.saved_experiments import read_result
from . import stored
from .scores import LARGEST_ALPHA, read_text
from .tables import number

Scores = Mapping[str, Mapping[int, float]]
"""By arm and seed."""


@dataclass(frozen=True)
class Pilot:
    """What runs tell for the plan of more of them."""

    source: str
    spread: Spread
    runs: int
    """Those that have a score."""
    without_score: int = 0
    alpha: float | None = None
    minimum_effect: float | None = None
    """As the experiment's decision rule has them; None where it has none."""
    paired: bool = False
    warnings: tuple[str, ...] = ()


def read_pilot(name: str, output_dir: Path, *, paired: bool = False) -> Pilot:
    """The spread of an experiment's runs, or of a file of scores.

    Raises:
        UsageError: when there is none, or it tells nothing of a spread.
    """
    if _is_experiment(name, output_dir):
        return _experiment(name, output_dir, paired=paired)
    table = parse_scores(read_text(Path(name)), name)
    spread = _spread(table.scores, name, paired=paired)
    return Pilot(name, spread, _runs(table.scores), paired=paired, warnings=table.warnings)


def _is_experiment(name: str, output_dir: Path) -> bool:
    if (output_dir / name / f"experiment_{name}.json").is_file():
        return True
    return EXPERIMENT_ID.fullmatch(name) is not None and not Path(name).exists()


def _experiment(experiment_id: str, output_dir: Path, *, paired: bool) -> Pilot:
    experiment = stored.read(stored.find(output_dir, experiment_id))
    rule = experiment.config.get("comparison")
    rule = rule if isinstance(rule, Mapping) else {}
    metric = rule.get("metric") if rule.get("metric") in METRICS else METRICS[0]
    scores = _scores(experiment, str(metric))
    is_paired = paired or rule.get("paired") is True
    alpha, effect = number(rule, "alpha"), number(rule, "minimum_effect")
    return Pilot(
        source=f"experiment {experiment_id}",
        spread=_spread(scores, experiment_id, paired=is_paired),
        runs=_runs(scores),
        without_score=_without_score(experiment, scores),
        alpha=alpha if alpha is not None and 0 < alpha <= LARGEST_ALPHA else None,
        minimum_effect=effect if effect is not None and 0 < effect < math.inf else None,
        paired=is_paired,
    )


def _without_score(experiment: stored.StoredExperiment, scores: Scores) -> int:
    """How many runs have none, beside those that were not needed."""
    unused = {(run.get("arm"), run.get("seed")) for run in experiment.not_needed}
    return sum(
        run.seed not in scores[run.arm] and (run.arm, run.seed) not in unused
        for run in experiment.planned_timesteps
    )


def _scores(experiment: stored.StoredExperiment, metric: str) -> Scores:
    """The scores of the complete runs: from their own files, else from `results.json`."""
    told = {(run.get("arm"), run.get("seed")): run for run in experiment.runs}
    scores: dict[str, dict[int, float]] = {arm: {} for arm in stored.ARMS}
    for run in experiment.planned_timesteps:
        value = _score(experiment, run, metric, told.get((run.arm, run.seed), {}))
        if value is not None:
            scores[run.arm][run.seed] = value
    return scores


def _score(
    experiment: stored.StoredExperiment, run: RunKey, metric: str, told: Mapping[str, Any]
) -> float | None:
    saved = read_result(experiment.paths.run(run).result, run)
    if saved is not None:
        return score(saved.result, metric)
    value = number(told, metric) if told.get("status") == "completed" else None
    return value if value is not None and math.isfinite(value) else None


def _spread(scores: Scores, source: str, *, paired: bool) -> Spread:
    """The spread over seeds, or of the differences by seed.

    Raises:
        UsageError: where there is none.
    """
    spread = paired_spread(*_pairs(scores, source)) if paired else pooled_spread(_samples(scores))
    if spread is None:
        what = "two seeds that both arms have" if paired else "two runs of an arm"
        raise UsageError(
            f"the pilot has fewer than {what}, and so no spread",
            where=source,
            remedy="run more seeds, or state the spread with --sd",
        )
    if not spread.sd:
        raise UsageError(
            "the pilot's runs do not vary: nothing can be planned from a spread of zero",
            where=source,
            remedy="the task may be too easy; state a spread with --sd",
        )
    return spread


def _samples(scores: Scores) -> list[list[float]]:
    return [list(by_seed.values()) for by_seed in scores.values()]


def _pairs(scores: Scores, source: str) -> Iterator[list[float]]:
    """Both arms' scores of the seeds that both have, in the same order."""
    if len(scores) != 2:
        raise UsageError(
            f"a paired design needs two arms, and there are {len(scores)}",
            where=source,
            remedy="leave --paired out, or keep the rows of two arms",
        )
    first, second = scores.values()
    both = sorted(first.keys() & second.keys())
    yield from ([each[seed] for seed in both] for each in (first, second))


def _runs(scores: Scores) -> int:
    return sum(len(by_seed) for by_seed in scores.values())
