"""What a person should know before training starts: the resolved difference, and what is odd."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..domain.cores import usable_cores
from ..domain.verdicts import Difference
from .algorithms import Family, is_language
from .allowed import DIAGNOSTICS
from .arms import Judgement, judge
from .difference import difference_of, resolved_id
from .language import language_warnings
from .models import AppliedPreset, ExperimentConfig
from .rounding import planned_steps, rollout_steps
from .rules import Arm, arm_warnings

MOST_NAMED = 5
UNFAIR = {
    "/environment": "the arms train on different environments",
    "/environment_kwargs": "the arms' environments have different arguments",
    "/wrappers": "the arms' environments are wrapped differently",
    "/normalize": "the arms are normalised differently, or only one of them",
}


@dataclass(frozen=True)
class Audit:
    """The experiment's design, looked at before the first run."""

    differences: tuple[Difference, ...]
    """Settings in which the arms differ once the library's defaults are filled in."""
    warnings: tuple[str, ...]
    """What makes the comparison unfair, or was hardly meant."""
    notices: tuple[str, ...]
    """What happens otherwise than the file says."""


def audit(config: ExperimentConfig) -> Audit:
    """Look at a checked experiment; nothing is trained or written."""
    modules = config.environment_modules
    judged = [judge(arm, (f"{name}_config",), modules) for name, arm in config.arms.items()]
    arms = [entry.arm for entry in judged if entry.arm is not None]
    differences = difference_of(*judged)
    warnings = [*_fairness(differences), *_unequal_steps(arms)]
    by_arm = [list(_warnings_of(arm, config.evaluation.frequency)) for arm in arms]
    warnings += _said_once(by_arm)
    return Audit(differences, tuple(warnings), tuple(_notices(config, judged)))


def _warnings_of(arm: Arm, evaluation_frequency: int) -> Iterator[str]:
    yield from arm_warnings(arm, evaluation_frequency)
    if arm.algorithm.family is Family.LANGUAGE:
        name = f"{arm.where[0]}".removesuffix("_config")
        yield from (f"{name}: {text}" for text in language_warnings(arm))


def _said_once(by_arm: list[list[str]]) -> Iterator[str]:
    """What is said of each arm, ``arm: text``; what is said of all of them alike, once."""
    texts = [[line.partition(": ")[2] for line in lines] for lines in by_arm]
    common = [text for text in texts[0] if all(text in others for others in texts)] if texts else []
    yield from (f"both arms: {text}" for text in dict.fromkeys(common))
    for lines in by_arm:
        yield from (line for line in lines if line.partition(": ")[2] not in common)


def _fairness(differences: tuple[Difference, ...]) -> Iterator[str]:
    chosen = [d for d in differences if not (d.baseline_is_default and d.variant_is_default)]
    if len(chosen) > 1:
        named = ", ".join(difference.pointer for difference in chosen[:MOST_NAMED])
        rest = f" and {len(chosen) - MOST_NAMED} more" if len(chosen) > MOST_NAMED else ""
        yield (
            f"the arms differ in {len(chosen)} settings ({named}{rest}): an effect cannot be "
            "attributed to any one of them"
        )
    for prefix, message in UNFAIR.items():
        if any(f"{d.pointer}/".startswith(f"{prefix}/") for d in differences):
            yield f"{message}: their returns may not be comparable"


def _unequal_steps(arms: list[Arm]) -> Iterator[str]:
    planned = [planned_steps(arm.algorithm, arm.settings, arm.configuration) for arm in arms]
    if len(set(planned)) > 1:
        yield (
            f"the arms train for different numbers of steps: baseline {planned[0]}, "
            f"variant {planned[1]} (rounded up to whole rollouts)"
        )


def _notices(config: ExperimentConfig, judged: list[Judgement]) -> Iterator[str]:
    environments = {}
    for arm in config.arms.values():
        if not is_language(arm.algorithm):
            environments[arm.environment] = resolved_id(arm, config)
    for written, real in environments.items():
        if real != written.rpartition(":")[2]:
            yield f"{written} runs as {real}, the newest version"
    by_arm = [list(_of_arm(*pair)) for pair in zip(config.arms, judged, strict=True)]
    yield from _said_once(by_arm)
    yield from _not_measured(config)
    yield from _too_few_seeds(config)


def _of_arm(name: str, entry: Judgement) -> Iterator[str]:
    preset = entry.configuration.preset
    if isinstance(preset, AppliedPreset):
        yield f"{name}: starts from rl-zoo {preset.version}, entry {preset.entry!r}"
    if entry.arm is not None:
        yield from _rounding(name, entry.arm)
        yield from _more_processes_than_cores(name, entry.arm)


def _more_processes_than_cores(name: str, arm: Arm) -> Iterator[str]:
    processes, cores = arm.settings.get("processes", 1), usable_cores()
    if processes > cores:
        yield (
            f"{name}: {processes} processes train one run, more than there are usable cores here "
            f"({cores:g}): they wait for each other"
        )


def _rounding(name: str, arm: Arm) -> Iterator[str]:
    asked = arm.configuration.training_steps
    planned = planned_steps(arm.algorithm, arm.settings, arm.configuration)
    rollout = rollout_steps(arm.algorithm, arm.settings, arm.configuration)
    if rollout is None:
        unit = "generations" if arm.algorithm.family is Family.EVOLUTION else "episodes"
        yield f"{name}: trains whole {unit}, so it may take more than {asked} steps"
    elif planned != asked:
        yield f"{name}: {asked} steps are rounded up to {planned}, whole rollouts of {rollout}"


def _not_measured(config: ExperimentConfig) -> Iterator[str]:
    for diagnostic in config.diagnostics:
        for name, arm in config.arms.items():
            if arm.algorithm not in DIAGNOSTICS[diagnostic]:
                yield f"{name}: {diagnostic} is not measured: {arm.algorithm} does not support it"


def _too_few_seeds(config: ExperimentConfig) -> Iterator[str]:
    """An exact permutation test over n seeds an arm reaches no p below 2 / C(2n, n)."""
    if config.comparison.sequential is not None:
        return  # which p can be reached depends on the looks
    count, alpha, paired = len(config.seed_list), config.comparison.alpha, config.comparison.paired
    needed = next(n for n in range(1, 64) if _smallest_p(n, paired=paired) <= alpha)
    if count < needed:
        seeds = "1 seed" if count == 1 else f"{count} seeds"
        yield (
            f"{seeds} per arm cannot show a difference at alpha {alpha:g}; "
            f'set "seeds": {needed} or more'
        )


def _smallest_p(n: int, *, paired: bool) -> float:
    return 2 / 2**n if paired else 2 / math.comb(2 * n, n)
