"""`"preset": "rl-zoo"`: tuned values from rl_zoo3's tables, read as data and never evaluated."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..domain.errors import MissingExtraError, install_extra
from .allowed import WRAPPERS

FILES = {"RecurrentPPO": "ppo_lstm"}
"""Tables that are not named like their algorithm."""

_ARM_SETTINGS = {
    "n_timesteps": "training_steps",
    "n_envs": "n_envs",
    "policy": "policy",
    "env_kwargs": "environment_kwargs",
}
_NOT_SUPPORTED = {
    "frame_stack",
    "vec_env_wrapper",
    "vec_env_class",
    "callback",
    "model_class",
    "replay_buffer_class",
    "monitor_kwargs",
}
_NOISES = {"normal": "normal", "ornstein-uhlenbeck": "ornstein-uhlenbeck"}


class PresetRefusedError(ValueError):
    """The table has no entry that can be used; the text says why."""


@dataclass(frozen=True)
class Preset:
    """An entry of the table, as an arm states it."""

    entry: str
    """The entry's name, an environment id or "default"."""
    version: str
    settings: Mapping[str, Any]
    """Fields of a configuration."""


def zoo_preset(algorithm: str, environments: tuple[str, ...], folder: Path | None = None) -> Preset:
    """The tuned settings for the first of the environments that the table knows, else its default.

    Raises:
        MissingExtraError: when rl_zoo3 is not installed.
        PresetRefusedError: when there is no table, or the entry needs what cannot be given here.
    """
    version = "unknown" if folder else _installed_version()
    path = (folder or _zoo_folder()) / f"{FILES.get(algorithm, algorithm.lower())}.yml"
    if not path.is_file():
        raise PresetRefusedError(f"rl-zoo has no table for {algorithm}")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    for entry in (*environments, "default"):
        if entry in table:
            return Preset(entry, version, settings_of(table[entry]))
    raise PresetRefusedError(f"rl-zoo's table for {algorithm} has no entry for {environments[0]}")


def _zoo_folder() -> Path:
    spec = importlib.util.find_spec("rl_zoo3")  # finds the package without importing it
    locations = spec.submodule_search_locations if spec else None
    if not locations:
        raise MissingExtraError(
            "the preset 'rl-zoo' needs the package rl_zoo3",
            remedy=install_extra("zoo"),
        )
    return Path(next(iter(locations))) / "hyperparams"


def _installed_version() -> str:
    _zoo_folder()
    return importlib.metadata.version("rl_zoo3")


def settings_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a table as fields of a configuration.

    Raises:
        PresetRefusedError: when it needs what cannot be given here.
    """
    refused = sorted(_NOT_SUPPORTED & {key for key, value in entry.items() if value})
    if refused:
        raise PresetRefusedError(f"rl-zoo's entry uses {refused[0]!r}, which is not supported")
    settings: dict[str, Any] = {"hyperparameters": {}}
    for key, value in entry.items():
        plain = literal(value) if isinstance(value, str) and _is_code(value) else value
        if key in _ARM_SETTINGS:
            settings[_ARM_SETTINGS[key]] = plain
        elif key == "normalize":
            settings["normalize"] = _normalization(plain, entry)
        elif key == "env_wrapper":
            settings["wrappers"] = _wrappers(plain)
        elif key not in {"noise_type", "noise_std", *_NOT_SUPPORTED}:
            settings["hyperparameters"][key] = plain
    if "noise_type" in entry:
        settings["hyperparameters"]["action_noise"] = _noise(entry)
    return settings


def _is_code(text: str) -> bool:
    return text.lstrip().startswith(("dict(", "{", "["))


def _normalization(value: Any, entry: Mapping[str, Any]) -> Any:
    if not value:
        return False
    details = dict(value) if isinstance(value, Mapping) else {}
    if "gamma" in entry:  # the table's own rule: the algorithm's discount
        details["gamma"] = entry["gamma"]
    return details or True


def _noise(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(entry["noise_type"]).strip()
    if kind not in _NOISES:
        raise PresetRefusedError(f"rl-zoo's entry uses the noise {kind!r}, which is not supported")
    return {"type": _NOISES[kind], "sigma": entry["noise_std"]}


def _wrappers(value: Any) -> list[dict[str, Any]]:
    listed = value if isinstance(value, list) else [value]
    return [_wrapper(item) for item in listed if item]


def _wrapper(item: Any) -> dict[str, Any]:
    path, kwargs = next(iter(item.items())) if isinstance(item, Mapping) else (item, None)
    name = str(path).rpartition(".")[2]
    library = str(path).partition(".")[0]
    if name not in WRAPPERS or library not in {
        "gymnasium",
        "stable_baselines3",
        "sb3_contrib",
    }:
        raise PresetRefusedError(f"rl-zoo's entry uses the wrapper {path}, which is not supported")
    return {"name": name, "kwargs": dict(kwargs or {})}


def literal(text: str) -> Any:
    """The value of a Python literal in which `dict(…)` and names of classes may stand.

    ``dict(net_arch=[64], activation_fn=nn.ReLU)`` is
    ``{"net_arch": [64], "activation_fn": "ReLU"}``; nothing is evaluated.

    Raises:
        PresetRefusedError: when it holds anything else.
    """
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise PresetRefusedError("rl-zoo's entry is not a plain literal") from None


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            return {_key(word.arg): _value(word.value) for word in keywords}
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name  # a class: only its name is taken, and checked against the allow-list
        case _:
            raise PresetRefusedError("rl-zoo's entry is not a plain literal")


def _key(node: Any) -> str:
    key = node.value if isinstance(node, ast.Constant) else node
    if not isinstance(key, str):
        raise PresetRefusedError("rl-zoo's entry is not a plain literal")
    return key
