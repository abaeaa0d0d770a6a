"""The fingerprint of what training came to."""

from __future__ import annotations

import hashlib
from operator import attrgetter

import torch
from stable_baselines3.common.base_class import BaseAlgorithm


def parameters_sha256(model: BaseAlgorithm) -> str:
    """SHA-256 of the sorted names and raw bytes of all parameters and buffers of a policy.

    Other torch variables that the library saves, such as SAC's entropy coefficient, count too.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(named_tensors(model).items()):
        digest.update(name.encode())
        digest.update(b"\0")
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def named_tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    """Every tensor that training changes, optimisers' own left out, by name."""
    tensors = {f"policy.{name}": value for name, value in model.policy.state_dict().items()}
    _, variables = model._get_torch_save_params()
    for name in variables:
        value = attrgetter(name)(model)
        if value is not None:
            tensors[name] = value
    return {name: value for name, value in tensors.items() if isinstance(value, torch.Tensor)}


def parameter_count(model: BaseAlgorithm) -> int:
    """Trainable parameters of the policy."""
    return sum(weight.numel() for weight in model.policy.parameters() if weight.requires_grad)
