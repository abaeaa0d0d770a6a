"""In what saved experiments differ from each other, with the library's defaults filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from .difference import resolved_difference
from .models import BASELINE, VARIANT, Configuration
from .problems import at

ARMS = (BASELINE, VARIANT)
DESCRIBING = ("$schema", "experiment_id", "hypothesis", "comment", "tags")
"""Keys of the file that are expected to differ and say nothing about training."""
NAMING = ("seed", "experiment_name")
"""Likewise of an arm; its seed counts only where the experiment has no list."""

Saved = Mapping[str, Any]
"""The resolved experiment file, as `experiment_{id}.json` holds it."""


@dataclass(frozen=True)
class SettingAcross:
    """One setting that is not the same in all experiments."""

    pointer: str
    """JSON pointer in the experiment file."""
    arm: str | None
    """None for a setting of the experiment as a whole."""
    values: tuple[Any, ...]
    """One for each experiment, in their order; None also where it has none."""
    are_defaults: tuple[bool, ...]
    """Whether each is the library's default."""


@dataclass(frozen=True)
class _Value:
    value: Any
    is_default: bool = False


def settings_across(experiments: Sequence[Saved]) -> list[SettingAcross]:
    """Everything in which saved experiments differ, arm by arm, then of the experiments as wholes.

    Names, descriptions and the arms' own seeds are left out; the experiments' lists of seeds are
    not. An arm that this version cannot resolve, say because a later one saved it, is compared as
    it was written.
    """
    found = [setting for arm in ARMS for setting in _of_arm(arm, experiments)]
    return [*found, *_of_the_whole(experiments)]


def _of_arm(arm: str, experiments: Sequence[Saved]) -> Iterator[SettingAcross]:
    section = f"{arm}_config"
    written = [_mapping(each.get(section)) for each in experiments]
    for pointer, values in _across(_resolved(written) or _flat_differences(written)).items():
        yield _setting(f"/{section}{pointer}", arm, values)


def _resolved(arms: Sequence[Saved]) -> list[dict[str, tuple[_Value, _Value]]] | None:
    """Of each arm after the first, what differs from the first; None where one is not readable."""
    try:
        first, *others = (Configuration.model_validate(arm) for arm in arms)
    except ValidationError:
        return None
    return [
        {
            each.pointer: (
                _Value(each.baseline, each.baseline_is_default),
                _Value(each.variant, each.variant_is_default),
            )
            for each in resolved_difference(first, other)
        }
        for other in others
    ]


def _flat_differences(arms: Sequence[Saved]) -> list[dict[str, tuple[_Value, _Value]]]:
    named = [{name: arm[name] for name in arm if name not in NAMING} for arm in arms]
    first, *others = (dict(_flat(arm)) for arm in named)
    return [
        {
            pointer: (_Value(first.get(pointer)), _Value(other.get(pointer)))
            for pointer in dict.fromkeys([*first, *other])
            if first.get(pointer) != other.get(pointer)
        }
        for other in others
    ]


def _across(
    from_the_first: Sequence[Mapping[str, tuple[_Value, _Value]]],
) -> dict[str, list[_Value]]:
    """Differences from the first one, as one value of each: where none is told it is equal."""
    first = {
        pointer: pair[0] for told in reversed(from_the_first) for pointer, pair in told.items()
    }
    pointers = dict.fromkeys(pointer for told in from_the_first for pointer in told)
    return {
        pointer: [
            first[pointer],
            *(told[pointer][1] if pointer in told else first[pointer] for told in from_the_first),
        ]
        for pointer in pointers
    }


def _of_the_whole(experiments: Sequence[Saved]) -> Iterator[SettingAcross]:
    left_out = {*DESCRIBING, *(f"{arm}_config" for arm in ARMS)}
    flat = [
        dict(_flat({name: item for name, item in each.items() if name not in left_out}))
        for each in experiments
    ]
    for pointer in dict.fromkeys(pointer for each in flat for pointer in each):
        values = [each.get(pointer) for each in flat]
        if any(a != b for a, b in pairwise(values)):
            yield _setting(pointer, None, [_Value(value) for value in values])


def _setting(pointer: str, arm: str | None, values: Sequence[_Value]) -> SettingAcross:
    return SettingAcross(
        pointer,
        arm,
        tuple(each.value for each in values),
        tuple(each.is_default for each in values),
    )


def _flat(value: Mapping[str, Any], *above: str) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, *above, name)
        else:
            yield at(*above, name), item


def _mapping(value: Any) -> Saved:
    return value if isinstance(value, Mapping) else {}
