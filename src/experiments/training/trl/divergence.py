"""How much of Dr. GRPO's loss is the divergence from the reference model."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def divergence_in_loss(
    log_probabilities: torch.Tensor, inputs: Mapping[str, torch.Tensor], room: int
) -> torch.Tensor:
    """The KL divergence of a minibatch as Dr. GRPO's loss has it, before its weight; a scalar.

    Summed over the tokens that are learned from and divided by the room for tokens, as
    Liu et al. 2025 (arXiv:2503.20783) sum all of the loss: a mean over the tokens that are there
    would be larger. Of a token it is Schulman's estimator ``exp(d) - d - 1``, where ``d`` is the
    reference's log-probability less the model's (DeepSeekMath, arXiv:2402.03300, equation 4),
    and no importance ratio (`arguments.PUBLISHED`).

    Args:
        log_probabilities: of the tokens by the model, shape (completions, tokens).
        inputs: TRL's minibatch: `ref_per_token_logps`, `completion_mask`, and `tool_mask` where
            something was told between the model's turns; of the same shape.
        room: tokens of one completion, at most.
    """
    difference = inputs["ref_per_token_logps"] - log_probabilities
    of_tokens = torch.exp(difference) - difference - 1
    mask = inputs["completion_mask"]
    if "tool_mask" in inputs:
        mask = mask * inputs["tool_mask"]
    return (of_tokens * mask).sum() / (mask.shape[0] * room)
