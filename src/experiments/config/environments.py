"""Looks environments up in Gymnasium's registry; no module is imported that was not allowed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs import registration
from gymnasium.error import Error as GymnasiumError

from ..domain.errors import ConfigurationError, Problem, RefusedError, UsageError
from ..domain.redaction import redact
from ..tasks.registry import OWN_MODULE, PROGRAM
from .allowed import GYMNASIUM_WRAPPERS, LIBRARY_WRAPPER_KEYS, LOADS_OTHER_CODE
from .problems import escaped, nearest, shown

MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
ENVIRONMENT_ID = re.compile(r"(?:[\w:.-]+/)?[\w:.-]+", re.ASCII)
LONGEST_REASON = 150


@dataclass(frozen=True)
class Spaces:
    """What a policy sees and does, wrappers included."""

    observation: Any
    action: Any


def import_environment_modules(modules: Iterable[str]) -> None:
    """Import the modules that the command line allowed.

    Raises:
        UsageError: when one is not a module's name or fails to be imported.
    """
    for name in modules:
        if not MODULE_NAME.fullmatch(name):
            raise UsageError(
                f"--allow-env-module {shown(name)} is not a module's name",
                remedy="give a dotted name",
            )
        if name == PROGRAM:
            raise UsageError(
                f"--allow-env-module {name}: the processes that train have another one",
                remedy=OWN_MODULE,
            )
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UsageError(
                f"--allow-env-module {name}: {reason(error)}",
                remedy="install or correct the module",
            ) from error


def resolve_environment(env_id: str, environment_modules: Sequence[str] = ()) -> str:
    """The id that really runs: an id whose version is out of date becomes the newest version.

    Raises:
        ConfigurationError: when no such environment is registered.
    """
    try:
        return find_environment(env_id, environment_modules)
    except RefusedError as error:
        problem = Problem("", error.message, shown(env_id), error.allowed, error.suggestion)
        raise ConfigurationError([problem]) from None


def find_environment(env_id: str, environment_modules: Sequence[str] = ()) -> str:
    """As `resolve_environment`, for a caller that knows where the id stands.

    Raises:
        RefusedError: when no such environment is registered.
    """
    module, _, bare_id = env_id.rpartition(":")
    if module and module not in environment_modules:
        name = module if MODULE_NAME.fullmatch(module) else "NAME"
        raise RefusedError(
            "names a module, which an experiment file cannot import",
            OWN_MODULE if module == PROGRAM else f"register it with --allow-env-module {name}",
        )
    if bare_id.startswith(LOADS_OTHER_CODE):
        raise RefusedError("imports what its arguments name", "use a registered id")
    return _newest_version(bare_id)


def _newest_version(env_id: str) -> str:
    known = registration.registry
    if not ENVIRONMENT_ID.fullmatch(env_id) or not registration.ENV_ID_RE.fullmatch(env_id):
        raise RefusedError(
            "is not an environment's id", "write it as CartPole-v1", nearest(env_id, known)
        )
    namespace, name, version = registration.parse_env_id(env_id)
    newest = registration.find_highest_version(namespace, name)
    if newest is not None and (version is None or version <= newest):
        return registration.get_env_id(namespace, name, newest)
    if env_id in known:
        return env_id
    if newest is not None:
        suggestion = registration.get_env_id(namespace, name, newest)
        raise RefusedError("this version is unknown", None, suggestion)
    raise RefusedError(
        "unknown environment",
        "use a registered id, or --allow-env-module NAME for a module that registers it",
        nearest(env_id, known),
    )


def spaces_of(
    env_id: str, kwargs: Mapping[str, Any], wrappers: Sequence[Mapping[str, Any]] = ()
) -> Spaces:
    """Observation and action space of a registered environment, found by building it.

    Raises:
        RefusedError: when it, or a wrapper (numbered in `place`), cannot be built.
    """
    outcome = _probed(env_id, json.dumps(dict(kwargs)), json.dumps([dict(w) for w in wrappers]))
    if isinstance(outcome, RefusedError):
        raise outcome
    return outcome


@lru_cache(maxsize=64)
def _probed(env_id: str, kwargs: str, wrappers: str) -> Spaces | RefusedError:
    """Strings, because they can be looked up; an error is an outcome worth remembering too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _probe(env_id, json.loads(kwargs), json.loads(wrappers))
        except RefusedError as error:
            return error.with_traceback(None)


def _probe(env_id: str, kwargs: dict[str, Any], wrappers: list[dict[str, Any]]) -> Spaces:
    try:
        environment = gymnasium.make(env_id, **kwargs)
    except Exception as error:  # noqa: BLE001 - an environment may raise anything
        raise _cannot_build(error) from None
    wrapped = environment
    try:
        for index, wrapper in enumerate(wrappers):
            wrapped = _wrapped(wrapped, wrapper, index)
        return Spaces(wrapped.observation_space, wrapped.action_space)
    finally:
        environment.close()


def _wrapped(environment: Any, wrapper: Mapping[str, Any], index: int) -> Any:
    name, kwargs = wrapper["name"], wrapper_arguments(wrapper.get("kwargs", {}))
    try:
        if name in GYMNASIUM_WRAPPERS:
            return getattr(gymnasium.wrappers, name)(environment, **kwargs)
        return _library_wrapper(environment, name, kwargs)
    except Exception as error:  # noqa: BLE001 - a wrapper may raise anything
        refused = _cannot_build(error)
        refused.place = ("wrappers", index)
        raise refused from None


def wrapper_arguments(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A wrapper's arguments as Python takes them: JSON's lists as tuples."""
    return {name: _as_tuple(value) for name, value in kwargs.items()}


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def _library_wrapper(environment: Any, name: str, kwargs: Mapping[str, Any]) -> Any:
    """What a wrapper of the learning library does to the spaces, without importing it."""
    unknown = sorted(set(kwargs) - LIBRARY_WRAPPER_KEYS[name])
    if unknown:
        raise TypeError(f"unexpected argument {unknown[0]!r}")
    space = environment.observation_space
    if name == "AtariWrapper":
        if not hasattr(environment.unwrapped, "get_action_meanings"):
            raise TypeError("needs an Atari environment")
        if importlib.util.find_spec("cv2") is None:
            raise ImportError("No module named 'cv2'")
        side = kwargs.get("screen_size", 84)
        space = spaces.Box(0, 255, (side, side, 1), np.uint8)
    elif name == "TimeFeatureWrapper":
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise TypeError("needs observations that are one list of numbers")
        low, high = np.append(space.low, 0.0), np.append(space.high, 1.0)
        space = spaces.Box(
            low.astype(space.dtype), high.astype(space.dtype), dtype=space.dtype.type
        )
    wrapped: gymnasium.Wrapper[Any, Any, Any, Any] = gymnasium.Wrapper(environment)
    wrapped.observation_space = space
    return wrapped


def _cannot_build(error: Exception) -> RefusedError:
    if isinstance(error, ImportError | gymnasium.error.DependencyNotInstalled):
        return RefusedError(f"needs a package that is missing ({reason(error)})")
    kind = "" if isinstance(error, GymnasiumError) else f"{type(error).__name__}: "
    return RefusedError(f"cannot be built ({kind}{reason(error)})")


def reason(error: Exception) -> str:
    """The first line of an exception, short, escaped and without secrets."""
    lines = redact(str(error)).splitlines()
    text = escaped(lines[0]) if lines else type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
