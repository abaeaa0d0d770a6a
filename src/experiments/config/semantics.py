"""What must hold between the two arms and the rest of the experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gymnasium.envs.registration import registry

from ..domain.errors import Problem
from ..domain.redaction import looks_secret
from ..domain.seeds import MAX_SEED
from ..domain.storage_policy import KEEPERS
from ..domain.units import MIB
from .algorithms import Family, is_language
from .allowed import DIAGNOSTICS
from .arms import Judgement
from .difference import difference_of, resolved_id
from .generations import generation_of
from .memory import in_words
from .models import ExperimentConfig
from .problems import at, shown
from .rounding import planned_steps
from .rules import buffer_of

Pointer = tuple[str | int, ...]


def experiment_problems(
    config: ExperimentConfig,
    baseline: Judgement,
    variant: Judgement,
    *,
    arms_may_be_equal: bool = False,
) -> Iterator[Problem]:
    """Everything that is wrong between parts that are right for themselves."""
    yield from _seed_problems(config)
    yield from _environment_problems(config, baseline, variant)
    is_doubtful = arms_may_be_equal or bool(baseline.problems or variant.problems)
    if not is_doubtful and baseline.arm and variant.arm and not difference_of(baseline, variant):
        yield Problem(
            "/variant_config",
            "equals the baseline once the defaults are filled in",
            allowed="change the setting that the hypothesis is about",
        )
    yield from _limit_problems(config, baseline, variant)
    yield from _checkpoint_problems(config, baseline, variant)
    yield from _storage_problems(config)
    yield from _diagnostics_problems(config, baseline, variant)


def _seed_problems(config: ExperimentConfig) -> Iterator[Problem]:
    first, second = (arm.seed for arm in config.arms.values())
    both_known = all("seed" in arm.model_fields_set for arm in config.arms.values())
    if both_known and not isinstance(config.seeds, tuple) and first != second:
        yield Problem(
            "/variant_config/seed",
            "differs from the baseline's",
            shown(second),
            "both arms train with the same seeds: set one, or 'seeds'",
        )
    if isinstance(config.seeds, int) and first + config.seeds - 1 > MAX_SEED:
        yield Problem(
            "/seeds", "counts beyond the largest seed", shown(config.seeds), f"at most {MAX_SEED}"
        )
    yield from _too_many_seeds(config)
    seen: set[int] = set()
    for index, seed in enumerate(config.seeds if isinstance(config.seeds, tuple) else ()):
        if seed in seen:
            yield Problem(at("seeds", index), "appears twice", shown(seed), "name each seed once")
        seen.add(seed)


def _too_many_seeds(config: ExperimentConfig) -> Iterator[Problem]:
    sequential, seeds = config.comparison.sequential, config.seeds
    if sequential is None or seeds is None:
        return
    named = len(seeds) if isinstance(seeds, tuple) else seeds
    if named > sequential.max_seeds:
        yield Problem(
            "/seeds",
            f"name {named} seeds, more than comparison.sequential.max_seeds",
            shown(sequential.max_seeds),
            "leave some out, or raise max_seeds",
        )


def _environment_problems(
    config: ExperimentConfig, baseline: Judgement, variant: Judgement
) -> Iterator[Problem]:
    both = [judged.configuration for judged in (baseline, variant)]
    ids = [resolved_id(configuration, config) for configuration in both]
    known = all(
        is_language(configuration.algorithm) or identifier in registry
        for configuration, identifier in zip(both, ids, strict=True)
    )
    if config.allow_different_environments or not known or ids[0] == ids[1]:
        return
    yield Problem(
        "/variant_config/environment",
        f"the baseline trains on {baseline.configuration.environment}",
        shown(variant.configuration.environment),
        'use the same, or set "allow_different_environments": true',
    )


def _storage_problems(config: ExperimentConfig) -> Iterator[Problem]:
    """Nothing may be left out here that is kept nowhere else."""
    if config.storage == "tracker_only" and not KEEPERS & set(config.trackers):
        yield Problem(
            "/storage",
            "keeps nothing here, and no tracker is used that would keep it",
            shown(config.storage),
            'add "wandb" or "clearml" to trackers, or use "hybrid"',
        )


def _limit_problems(
    config: ExperimentConfig, baseline: Judgement, variant: Judgement
) -> Iterator[Problem]:
    limit = config.resource_limits.memory_mb if config.resource_limits else None
    for key, judged in (("baseline_config", baseline), ("variant_config", variant)):
        arm = judged.arm
        if limit is None or arm is None or arm.spaces is None:
            continue
        size = float(buffer_of(arm, arm.spaces))
        if arm.algorithm.family is Family.OFF_POLICY:
            planned = planned_steps(arm.algorithm, arm.settings, arm.configuration)
            size *= min(1.0, planned / arm.settings["buffer_size"])
        if size > limit * MIB:
            name = "buffer_size" if arm.algorithm.family is Family.OFF_POLICY else "n_steps"
            yield Problem(
                at(key, "hyperparameters", name),
                f"the buffer grows to about {in_words(size)}, more than resource_limits.memory_mb",
                shown(arm.settings[name]),
                "make it smaller, or the limit larger",
            )


def _checkpoint_problems(
    config: ExperimentConfig, baseline: Judgement, variant: Judgement
) -> Iterator[Problem]:
    """A language model goes on exactly only from where new completions are drawn."""
    if "frequency" not in config.checkpoint.model_fields_set:
        return
    for judged in (baseline, variant):
        arm = judged.arm
        if judged.problems or arm is None or arm.algorithm.family is not Family.LANGUAGE:
            continue
        steps = generation_of(arm.settings).optimizer_steps
        if config.checkpoint.frequency % steps:
            yield Problem(
                "/checkpoint/frequency",
                f"must be a multiple of {steps}: one batch of completions takes that many "
                "optimiser steps, and a run resumes exactly only between two batches",
                shown(config.checkpoint.frequency),
            )
            return


def _diagnostics_problems(
    config: ExperimentConfig, baseline: Judgement, variant: Judgement
) -> Iterator[Problem]:
    """A measurement that no arm's algorithm offers; where one does, the audit notes the other."""
    arms = [judged.arm for judged in (baseline, variant) if judged.arm is not None]
    names = dict.fromkeys(arm.algorithm.name for arm in arms)
    for index, diagnostic in enumerate(config.diagnostics):
        offering = DIAGNOSTICS[diagnostic]
        if names and not any(name in offering for name in names):
            yield Problem(
                at("diagnostics", index),
                f"is not offered by {' or '.join(names)}",
                shown(diagnostic),
                f"leave it out; it is offered by {', '.join(offering)}",
            )


def secret_problems(value: Any, path: Pointer = ()) -> Iterator[Problem]:
    """Every value that its name or its form gives away as a secret; none is shown."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from secret_problems(item, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from secret_problems(item, (*path, index))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        name = next((token for token in reversed(path) if isinstance(token, str)), "")
        if looks_secret(name, str(value)):
            yield Problem(
                at(*path), "looks like a secret", allowed="put secrets into .env, never here"
            )
