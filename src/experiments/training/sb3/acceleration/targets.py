"""Target networks that follow in one call for all their tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import polyak_update
from torch import Tensor

from ..patching import wrapped

NAME = polyak_update.__name__


@contextmanager
def grouped_targets(model: BaseAlgorithm) -> Iterator[None]:
    """Stand in for the library's update of targets in the module of the model's algorithm."""
    train = getattr(type(model), "train", None)
    module = sys.modules.get(getattr(train, "__module__", ""))
    if getattr(module, NAME, None) is not polyak_update:
        yield
        return
    with wrapped(module, NAME, _grouped):
        yield


def _grouped(one_by_one: Callable[..., None]) -> Callable[..., None]:
    @torch.no_grad()
    def update(parameters: Iterable[Tensor], targets: Iterable[Tensor], tau: float) -> None:
        sources, followers = list(parameters), list(targets)
        if not sources or len(sources) != len(followers):
            one_by_one(sources, followers, tau)
            return
        torch._foreach_mul_(followers, 1 - tau)
        torch._foreach_add_(followers, sources, alpha=tau)

    return update
