"""Distributions that do not check their arguments at each call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stable_baselines3.common.base_class import BaseAlgorithm
from torch.distributions import Distribution


@contextmanager
def unchecked_arguments(model: BaseAlgorithm) -> Iterator[None]:
    """Switch the checks off; what they would have found is looked for once a rollout and update."""
    del model
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
