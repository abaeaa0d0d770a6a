"""Less work for the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch.distributions import Distribution

FOREACH_IS_EXACT = (torch.optim.Adam, torch.optim.AdamW)
"""Optimisers whose grouped form gives the same bits as the plain one."""


@contextmanager
def accelerated(model: BaseAlgorithm, *, enabled: bool) -> Iterator[None]:
    """Train without argument checks (finiteness is checked by us) and with Adam's grouped form."""
    if not enabled:
        yield
        return
    validate = Distribution._validate_args
    exact = [optimizer for optimizer in optimizers(model) if type(optimizer) in FOREACH_IS_EXACT]
    groups = [group for optimizer in exact for group in optimizer.param_groups]
    before = [group["foreach"] for group in groups]
    Distribution.set_default_validate_args(False)
    for group in groups:
        group["foreach"] = True
    try:
        yield
    finally:
        Distribution.set_default_validate_args(validate)
        for group, foreach in zip(groups, before, strict=True):
            group["foreach"] = foreach


def optimizers(model: BaseAlgorithm) -> list[torch.optim.Optimizer]:
    """Every optimiser of a model."""
    owners = (model, model.policy, *(getattr(model, name, None) for name in ("actor", "critic")))
    found: list[torch.optim.Optimizer] = []
    for owner in owners:
        for name in ("optimizer", "ent_coef_optimizer"):
            optimizer = getattr(owner, name, None)
            if isinstance(optimizer, torch.optim.Optimizer) and optimizer not in found:
                found.append(optimizer)
    return found
