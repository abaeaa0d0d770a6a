"""Brings a document's two arms into their full form: what one extends, what a preset adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from ..domain.errors import Problem, RefusedError
from .algorithms import Algorithm, algorithms, canonical_name
from .environments import find_environment
from .models import BASELINE
from .presets import PresetRefusedError, zoo_preset
from .problems import at, shown

ARMS = ("baseline_config", "variant_config")
_MERGED = ("hyperparameters", "environment_kwargs")
_ALGORITHMS_OWN = ("hyperparameters", "policy", "preset")
"""What another algorithm has no use for, and does not inherit."""


def prepare(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The document with both arms complete, and what could not be brought together.

    Raises:
        MissingExtraError: when a preset's package is not installed.
    """
    prepared = {name: as_plain(value) for name, value in document.items()}
    problems = list(_extend(prepared))
    _share_seed(prepared)
    for key in ARMS:
        if isinstance(prepared.get(key), dict):
            prepared[key], found = with_preset(prepared[key], key)
            problems += found
    return prepared, problems


def as_plain(value: Any) -> Any:
    """A model as the mapping that made it; anything else as it is."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    return dict(value) if isinstance(value, Mapping) else value


def _extend(document: dict[str, Any]) -> Iterator[Problem]:
    baseline, variant = (document.get(key) for key in ARMS)
    if isinstance(baseline, dict) and "extends" in baseline:
        yield Problem("/baseline_config/extends", "only the variant can extend the baseline")
        document["baseline_config"] = {k: v for k, v in baseline.items() if k != "extends"}
    if not isinstance(variant, dict) or "extends" not in variant:
        return
    own = {name: value for name, value in variant.items() if name != "extends"}
    document["variant_config"] = own
    if variant["extends"] != BASELINE:
        value = shown(variant["extends"])
        yield Problem("/variant_config/extends", "must be 'baseline'", value)
    if isinstance(baseline, dict):
        document["variant_config"] = merged(document["baseline_config"], own)
    else:
        del document["variant_config"]  # nothing to extend: the baseline's problem says it all


def merged(baseline: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The baseline with an arm's own settings over it.

    Hyperparameters, the settings in `policy_kwargs` and environment arguments are merged name by
    name, everything else is replaced. Another algorithm inherits no hyperparameters, unless both
    take the same ones.
    """
    inherited = dict(baseline)
    if not _same_parameters(own.get("algorithm", baseline.get("algorithm")), baseline):
        inherited = {k: v for k, v in baseline.items() if k not in _ALGORITHMS_OWN}
    inherited.pop("experiment_name", None)
    return _merge(inherited, own)


def _same_parameters(algorithm: Any, baseline: Mapping[str, Any]) -> bool:
    if algorithm == baseline.get("algorithm"):
        return True
    names = [canonical_name(str(name)) for name in (algorithm, baseline.get("algorithm"))]
    found = [algorithms()[name] for name in names if name in algorithms()]
    return len(found) == len(names) and found[0].parameters == found[1].parameters


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = {**below, **above}
    for name in _MERGED:
        result.update(_merged_entry(below, above, name))
    kwargs = "policy_kwargs"
    both = (below.get("hyperparameters"), above.get("hyperparameters"))
    if isinstance(both[0], Mapping) and isinstance(both[1], Mapping):
        result["hyperparameters"].update(_merged_entry(both[0], both[1], kwargs))
    return result


def _merged_entry(below: Mapping[str, Any], above: Mapping[str, Any], name: str) -> dict[str, Any]:
    first, second = below.get(name), above.get(name)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return {name: {**first, **second}}
    return {}


def _share_seed(document: dict[str, Any]) -> None:
    """An arm that names no seed trains with the other one's."""
    arms = [document[key] for key in ARMS if isinstance(document.get(key), dict)]
    seeds = [arm["seed"] for arm in arms if "seed" in arm]
    if len(seeds) == 1:
        for key in ARMS:
            if isinstance(document.get(key), dict):
                document[key] = {**document[key], "seed": seeds[0]}


def with_preset(arm: dict[str, Any], *where: str) -> tuple[dict[str, Any], list[Problem]]:
    """The arm with its preset's values under its own, and the preset named as applied."""
    if arm.get("preset") != "rl-zoo":
        return arm, []
    algorithm, environment = arm.get("algorithm"), arm.get("environment")
    if not isinstance(algorithm, str) or not isinstance(environment, str):
        return arm, []
    if canonical_name(algorithm) not in algorithms():
        return arm, []
    try:
        preset = zoo_preset(canonical_name(algorithm), _spellings(environment))
    except PresetRefusedError as error:
        return arm, [Problem(at(*where, "preset"), str(error), allowed="leave the preset out")]
    applied = {"name": "rl-zoo", "version": preset.version, "entry": preset.entry}
    settings = _fitted(preset.settings, algorithms()[canonical_name(algorithm)], arm)
    return {**_merge(settings, arm), "preset": applied}, []


def _fitted(
    settings: Mapping[str, Any], algorithm: Algorithm, arm: Mapping[str, Any]
) -> dict[str, Any]:
    """The table's settings without its slips: a policy that the algorithm has not, an old gamma."""
    fitted = dict(settings)
    if fitted.get("policy") not in algorithm.policies:
        fitted.pop("policy", None)
    own, normalize = arm.get("hyperparameters"), fitted.get("normalize")
    if isinstance(own, Mapping) and "gamma" in own and isinstance(normalize, Mapping):
        fitted["normalize"] = {**normalize, "gamma": own["gamma"]}
    return fitted


def _spellings(environment: str) -> tuple[str, ...]:
    """The id as it is written and as it runs, and its older versions, for tables lag behind."""
    try:
        resolved = find_environment(environment.rpartition(":")[2])
    except RefusedError:
        return (environment,)
    name, _, version = resolved.rpartition("-v")
    older = [f"{name}-v{number}" for number in range(int(version or 0), -1, -1)] if name else []
    return tuple(dict.fromkeys((resolved, environment, *older)))
