"""Experiments beside each other, for a program: one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..domain.verdicts import Comparison
from .across import Across, Crossing, Hint, Side
from .compared import ArmSoFar, Compared, secondary_of
from .stored import ARMS

COMPARISON_KEYS = tuple(field.name for field in fields(Comparison))
NONE_ACROSS = "each experiment has a verdict of its own; none is drawn across experiments"


def as_json(found: Across, output_dir: Path) -> dict[str, Any]:
    """All that was found; at the top level the keys of `comparison`.

    They are those of a single experiment's verdict. Of several there is no common one: then all but
    the sentence are null, and each experiment's own stands in its entry.
    """
    return {
        **_verdict(found.experiments),
        "secondary": _secondary(found.experiments[0]) if len(found.experiments) == 1 else [],
        "output_dir": str(output_dir),
        "experiments": [_experiment(each) for each in found.experiments],
        "differences": list(_differences(found)),
        "crossovers": [_crossing(each) for each in found.crossings],
        "overfitting_hints": [_hint(each) for each in found.hints],
        "warnings": list(found.warnings),
        "notes": list(found.notes),
    }


def no_verdict(experiment: Compared) -> str:
    """Why an experiment has no verdict."""
    return f"no verdict yet: the experiment is {experiment.stored.status}"


def _verdict(experiments: Sequence[Compared]) -> dict[str, Any]:
    told = experiments[0].comparison if len(experiments) == 1 else {}
    if told:
        return {key: told.get(key) for key in COMPARISON_KEYS}
    sentence = no_verdict(experiments[0]) if len(experiments) == 1 else NONE_ACROSS
    return {**dict.fromkeys(COMPARISON_KEYS), "sentence": sentence}


def _secondary(experiment: Compared) -> list[dict[str, Any]]:
    return [metric.to_dict() for metric in secondary_of(experiment)]


def _experiment(experiment: Compared) -> dict[str, Any]:
    stored = experiment.stored
    return {
        "experiment_id": experiment.experiment_id,
        "status": stored.status,
        "is_complete": experiment.is_whole,
        "results_dir": str(stored.paths.root),
        "hypothesis": stored.hypothesis,
        "comment": stored.comment,
        "tags": list(stored.tags),
        "created": stored.created,
        "comparison": experiment.comparison or None,
        "secondary": _secondary(experiment),
        "arms": {name: _arm(arm) for name, arm in experiment.arms.items()},
    }


def _arm(arm: ArmSoFar) -> dict[str, Any]:
    return {
        "algorithm": arm.algorithm,
        "environment": arm.environment,
        "runs_planned": arm.runs_planned,
        "runs_completed": arm.runs_completed,
        "runs_failed": arm.runs_failed,
        "runs_not_needed": arm.runs_not_needed,
        **{name: asdict(score) for name, score in arm.scores.items()},
        "total_timesteps": arm.total_timesteps,
        "training_time": arm.training_time,
    }


def _differences(found: Across) -> Iterator[dict[str, Any]]:
    if len(found.experiments) == 1:
        for difference in found.experiments[0].stored.differences:
            yield {
                "pointer": difference.get("pointer"),
                "arm": None,
                "values": {arm: difference.get(arm) for arm in ARMS},
                "defaults": [arm for arm in ARMS if difference.get(f"{arm}_is_default")],
            }
        return
    ids = [each.experiment_id for each in found.experiments]
    for setting in found.settings:
        are_defaults = zip(ids, setting.are_defaults, strict=True)
        yield {
            "pointer": setting.pointer,
            "arm": setting.arm,
            "values": dict(zip(ids, setting.values, strict=True)),
            "defaults": [each for each, is_default in are_defaults if is_default],
        }


def _crossing(crossing: Crossing) -> dict[str, Any]:
    return {
        "curve": _side(crossing.side),
        "other": _side(crossing.other),
        "stays_ahead": crossing.lead.lead.value,
        "from_step": crossing.lead.step,
        "other_stays_ahead": crossing.reverse.lead.value,
        "other_from_step": crossing.reverse.step,
        "compared_steps": crossing.lead.compared,
    }


def _hint(hint: Hint) -> dict[str, Any]:
    return {**_side(hint.side), **asdict(hint.found)}


def _side(side: Side) -> dict[str, Any]:
    return {
        "experiment_id": side.experiment.experiment_id,
        "arm": side.arm.arm,
        "runs": side.arm.evaluation.runs,
    }
