"""Critics that are constants while the actor learns from them.

The library lets an actor's loss run back through the critics and computes gradients of all their
weights on the way, which the critics' next update throws away unread. They take as long as the
gradients that are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from sb3_contrib import TQC
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from ..patching import wrapped
from .networks import Layer, has_hooks, layer_function

THROWS_AWAY = (SAC, TD3, DDPG, TQC)
"""Algorithms whose critics' gradients are cleared before each of the critics' updates."""


@contextmanager
def constant_critics(model: BaseAlgorithm) -> Iterator[None]:
    """Compute no gradients of critics whose input depends on an actor."""
    critic: Any = getattr(model, "critic", None)
    with ExitStack() as stack:
        if type(model) in THROWS_AWAY and _input_is_given(critic):
            for module in critic.modules():
                if type(module) is nn.Sequential and _is_plain(module):
                    stack.enter_context(wrapped(module, "forward", _constant(module)))
        yield


def _input_is_given(critic: nn.Module) -> bool:
    """Whether in the critics' own update nothing in front of their chains has gradients."""
    extractor = getattr(critic, "features_extractor", None)
    return isinstance(extractor, nn.Module) and next(extractor.parameters(), None) is None


def _is_plain(network: nn.Sequential) -> bool:
    """Whether only linear layers have parameters, and no call does more than it seems to."""
    return all(
        not has_hooks(layer)
        and (type(layer) is nn.Linear or next(layer.parameters(), None) is None)
        for layer in network
    )


def _constant(network: nn.Sequential) -> Callable[[Layer], Layer]:
    """Stands in for the forward pass of a chain where its input has gradients."""
    layers = [
        _constant_linear(layer._parameters) if type(layer) is nn.Linear else layer_function(layer)
        for layer in network
    ]

    def around(usual: Layer) -> Layer:
        def forward(values: Tensor) -> Tensor:
            if not (values.requires_grad and torch.is_grad_enabled()):
                return usual(values)
            for layer in layers:
                values = layer(values)
            return values

        return forward

    return around


def _constant_linear(parameters: dict[str, Any]) -> Layer:
    apply = nn.functional.linear

    def linear(values: Tensor) -> Tensor:
        bias = parameters["bias"]
        constant = None if bias is None else bias.detach()
        return apply(values, parameters["weight"].detach(), constant)

    return linear
