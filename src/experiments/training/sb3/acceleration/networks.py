"""Chains of layers that are called one after the other, without the calls around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from ..patching import wrapped

Layer = Callable[[Tensor], Tensor]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def laid_networks(model: BaseAlgorithm) -> Iterator[None]:
    """Let every chain of layers in the policy call its layers' functions itself."""
    with ExitStack() as stack:
        for module in model.policy.modules():
            if type(module) is nn.Sequential and not has_hooks(module):
                stack.enter_context(wrapped(module, "forward", _laid(module)))
        yield


def _laid(network: nn.Sequential) -> Callable[[Layer], Layer]:
    return lambda _: chain(network)


def chain(modules: Iterable[nn.Module]) -> Layer:
    """The forward pass of layers that follow one another."""
    layers = [layer_function(layer) for layer in modules]

    def forward(values: Tensor) -> Tensor:
        for layer in layers:
            values = layer(values)
        return values

    return forward


def layer_function(layer: nn.Module) -> Layer:
    """What a layer computes; the layer itself where it is none of those that are known."""
    if has_hooks(layer):
        return layer
    if type(layer) is nn.Linear:
        return _linear(layer._parameters)
    if type(layer) is nn.Tanh:
        return torch.tanh
    if type(layer) is nn.ReLU and not layer.inplace:
        return torch.relu
    return layer


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of the module does more than its forward pass."""
    return calls_more(module) or "forward" in vars(module)


def calls_more(module: nn.Module) -> bool:
    """Whether somebody has hooked something on to a module."""
    return any(getattr(module, name, None) for name in _HOOKS)


def _linear(parameters: dict[str, Any]) -> Layer:
    """Looks its parameters up at each call: they may stand for others for a while."""
    apply = nn.functional.linear

    def linear(values: Tensor) -> Tensor:
        return apply(values, parameters["weight"], parameters["bias"])

    return linear
