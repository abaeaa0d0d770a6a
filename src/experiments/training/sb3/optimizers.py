"""A model's optimisers, wherever the algorithm keeps them."""

from __future__ import annotations

import torch
from stable_baselines3.common.base_class import BaseAlgorithm


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
