"""Reads the algorithms' signatures out of the learning library, for `config/algorithms.json`.

The table is committed, so that checking an experiment file does not wait for torch; a test
regenerates it and compares. `python -m src.experiments.training.signatures` writes it anew.
"""

from __future__ import annotations

import collections.abc
import importlib
import importlib.metadata
import inspect
import re
import typing
from pathlib import Path
from types import NoneType
from typing import Any

from ..durability.files import write_json

TABLE = Path(__file__).parents[1] / "config" / "algorithms.json"

LIBRARIES = {
    "stable_baselines3": ("PPO", "A2C", "DQN", "SAC", "TD3", "DDPG"),
    "sb3_contrib": ("TRPO", "TQC", "QRDQN", "RecurrentPPO", "ARS", "CrossQ"),
}
NOT_A_SETTING = {
    "self",
    "policy",
    "env",
    "observation_space",
    "action_space",
    "lr_schedule",
    "_init_setup_model",
}


def signature_table() -> dict[str, Any]:
    """Every algorithm's constructor arguments, action spaces, family and policies, as data."""
    algorithms = {
        name: _algorithm(getattr(importlib.import_module(library), name), library)
        for library, names in LIBRARIES.items()
        for name in names
    }
    versions = {name.replace("_", "-"): _version(name) for name in LIBRARIES}
    return {"versions": versions, "algorithms": algorithms}


def _version(library: str) -> str:
    return importlib.metadata.version(library.replace("_", "-"))


def _algorithm(kind: Any, library: str) -> dict[str, Any]:
    return {
        "library": library,
        "family": _family(kind),
        "action_spaces": _action_spaces(kind),
        "parameters": _parameters(kind),
        "policies": {name: _parameters(policy) for name, policy in kind.policy_aliases.items()},
    }


def _family(kind: Any) -> str:
    names = {base.__name__ for base in kind.__mro__}
    if "OnPolicyAlgorithm" in names:
        return "on_policy"
    return "off_policy" if "OffPolicyAlgorithm" in names else "evolution"


def _action_spaces(kind: Any) -> list[str]:
    """The spaces that the constructor hands to its base class; it keeps them nowhere else."""
    for base in kind.__mro__:
        source = inspect.getsource(base.__init__)
        found = re.search(r"supported_action_spaces=\(([^)]*)\)", source)
        if found:
            return re.findall(r"spaces\.(\w+)", found.group(1))
    raise LookupError(f"{kind.__name__} names no action spaces")


def _parameters(kind: Any) -> dict[str, Any]:
    parameters = inspect.signature(kind.__init__).parameters
    return {
        name: _parameter(parameter)
        for name, parameter in parameters.items()
        if name not in NOT_A_SETTING and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    default = parameter.default
    entry = {
        "kind": _kind_of(parameter.annotation),
        "default": default.__name__ if isinstance(default, type) else default,
    }
    if NoneType in typing.get_args(parameter.annotation):
        entry["nullable"] = True
    return entry


def _kind_of(annotation: Any) -> str:
    parts = [part for part in typing.get_args(annotation) if part is not NoneType]
    if typing.get_origin(annotation) in {type, dict, list} or not parts:
        parts = [annotation]
    kinds = sorted({_simple_kind(part) for part in parts})
    return "schedule" if "schedule" in kinds else " or ".join(kinds)


def _simple_kind(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if annotation is collections.abc.Callable or origin is collections.abc.Callable:
        return "schedule"
    plain = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "text",
        type: "class",
        dict: "object",
        list: "list",
        tuple: "pair",
    }
    return plain.get(origin or annotation, getattr(annotation, "__name__", str(annotation)))


if __name__ == "__main__":
    write_json(TABLE, signature_table())
