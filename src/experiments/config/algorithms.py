"""The committed table of the algorithms' signatures, so that no check waits for torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("algorithms.json")
LANGUAGE_TABLE = Path(__file__).with_name("language_algorithms.json")
"""Of the algorithms that train language models."""
SPELLINGS = {
    "QR-DQN": "QRDQN",
    "PPO-LSTM": "RecurrentPPO",
    "DR-GRPO": "DR_GRPO",
    "DrGRPO": "DR_GRPO",
}
"""Other ways to write a name."""


class Family(StrEnum):
    """How an algorithm gathers experience, which decides how its steps are rounded."""

    ON_POLICY = "on_policy"
    OFF_POLICY = "off_policy"
    EVOLUTION = "evolution"
    LANGUAGE = "language"
    """Completions of a language model; a step is one of the optimiser."""


@dataclass(frozen=True)
class Parameter:
    """One argument of a constructor."""

    name: str
    kind: str
    """integer, number, boolean, schedule, …, as the signature says."""
    default: Any
    nullable: bool = False


@dataclass(frozen=True)
class Algorithm:
    """What a configuration can say about one algorithm."""

    name: str
    library: str
    """The package that holds it."""
    family: Family
    action_spaces: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    policies: Mapping[str, Mapping[str, Parameter]]
    """The arguments of each policy, by its name."""

    def default(self, name: str) -> Any:
        """The library's default of a hyperparameter; None where there is none."""
        return self.parameters[name].default if name in self.parameters else None


def canonical_name(name: str) -> str:
    """The name that the library uses: QR-DQN is QRDQN."""
    return SPELLINGS.get(name, name)


def is_language(name: str) -> bool:
    """Whether an algorithm of this name trains language models."""
    found = algorithms().get(canonical_name(name))
    return found is not None and found.family is Family.LANGUAGE


@cache
def algorithms() -> Mapping[str, Algorithm]:
    """All algorithms by name."""
    tables = [json.loads(path.read_text(encoding="utf-8")) for path in (TABLE, LANGUAGE_TABLE)]
    return {
        name: _algorithm(name, entry)
        for table in tables
        for name, entry in table["algorithms"].items()
    }


@cache
def all_hyperparameters() -> frozenset[str]:
    """The names that some algorithm's constructor takes."""
    return frozenset(name for entry in algorithms().values() for name in entry.parameters)


def _algorithm(name: str, entry: Mapping[str, Any]) -> Algorithm:
    return Algorithm(
        name=name,
        library=entry["library"],
        family=Family(entry["family"]),
        action_spaces=tuple(entry["action_spaces"]),
        parameters=_parameters(entry["parameters"]),
        policies={policy: _parameters(given) for policy, given in entry["policies"].items()},
    )


def _parameters(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Parameter]:
    return {name: Parameter(name=name, **entry) for name, entry in table.items()}
