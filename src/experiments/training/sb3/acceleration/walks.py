"""Modes and parameters of a policy without a walk over all its modules at each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BaseModel, BasePolicy

from ..patching import wrapped

OF_THE_LIBRARIES = ("stable_baselines3", "sb3_contrib", "torch")

Walk = Callable[..., Iterator[torch.nn.Parameter]]
SetMode = Callable[[bool], None]


@contextmanager
def remembered_walks(model: BaseAlgorithm) -> Iterator[None]:
    """List parameters once, and set modes on the modules that the library sets them on."""
    policy = model.policy
    with ExitStack() as stack:
        for network in policy.modules():
            if isinstance(network, BaseModel):
                stack.enter_context(wrapped(network, "parameters", _listed))
        if all(_switches_as_known(module) for module in policy.modules()):
            modes = partial(_set_on_known_modules, policy)
            stack.enter_context(wrapped(policy, "set_training_mode", modes))
        yield


def _listed(walk: Walk) -> Walk:
    found = list(walk())

    def parameters(recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        return iter(found) if recurse else walk(recurse=False)

    return parameters


def _switches_as_known(module: torch.nn.Module) -> bool:
    """Whether a change of mode does nothing but set flags."""
    kind = type(module)
    by_library = kind.__module__.split(".")[0] in OF_THE_LIBRARIES
    return by_library and kind.train is torch.nn.Module.train


def _set_on_known_modules(policy: BasePolicy, set_mode: SetMode) -> SetMode:
    known: dict[bool, list[dict[str, Any]]] = {}

    def set_training_mode(mode: bool) -> None:
        if mode not in known:
            known[mode] = _reached(policy, set_mode, mode)
        for attributes in known[mode]:
            attributes["training"] = mode

    return set_training_mode


def _reached(policy: BasePolicy, set_mode: SetMode, mode: bool) -> list[dict[str, Any]]:
    """The attributes of the modules whose mode is set: targets, for one, are left as they are."""
    modules = list(policy.modules())
    before = [module.training for module in modules]
    for module in modules:
        module.training = not mode
    set_mode(mode)
    reached = [module.training is mode for module in modules]
    for module, training in zip(modules, before, strict=True):
        module.training = training
    return [vars(module) for module, is_reached in zip(modules, reached, strict=True) if is_reached]
