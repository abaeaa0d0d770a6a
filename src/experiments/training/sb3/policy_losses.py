"""The loss that each algorithm lowers by moving its policy, on a batch that is given.

They are the library's own, without what it adds for other ends: no entropy bonus and no value loss
on policy, no loss of the critics off policy. Where the library draws at random, so do these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib.common.utils import quantile_huber_loss
from torch.nn.functional import smooth_l1_loss

Batch = Mapping[str, Any]
"""Tensors by the names that the library's buffers give them; dictionary observations by key."""


@dataclass(frozen=True)
class PolicyLoss:
    """A loss, and the network that is moved to lower it."""

    value: Callable[[Any, Batch], torch.Tensor]
    """Of the library's model and a batch, with its graph."""
    network: str
    """The model's attribute; the loss may not depend on all parameters of it."""
    needs: tuple[str, ...]
    """What of the stored experience the loss is of, by the names of the library's buffers."""

    def parameters(self, model: Any) -> list[torch.nn.Parameter]:
        """The network's."""
        return list(getattr(model, self.network).parameters())


def _surrogate(model: Any, batch: Batch) -> torch.Tensor:
    """−E[rA], r the ratio of the policy to itself as it is now (Schulman et al. 2015, 2017).

    So an update begins: r is 1, PPO clips nothing and TRPO's trust region does not bind. The ratio
    to the policy that acted once would be clipped in most of a fixed batch after a few updates.
    """
    log_probability = _log_probability(model, batch)
    ratio = torch.exp(log_probability - log_probability.detach())
    return -(_advantages(model, batch) * ratio).mean()


def _policy_gradient(model: Any, batch: Batch) -> torch.Tensor:
    """−E[A log π(a|s)] (Mnih et al. 2016)."""
    return -(_advantages(model, batch) * _log_probability(model, batch)).mean()


def _temporal_difference(model: Any, batch: Batch) -> torch.Tensor:
    """Huber loss of Q(s, a) to r + γ max Q'(s', ·), Q' the target network (Mnih et al. 2015)."""
    with torch.no_grad():
        following = model.q_net_target(batch["next_observations"]).max(dim=1, keepdim=True).values
        target = _bootstrapped(model, batch, following)
    taken = torch.gather(model.q_net(batch["observations"]), 1, batch["actions"].long())
    return smooth_l1_loss(taken, target)


def _quantile_regression(model: Any, batch: Batch) -> torch.Tensor:
    """Quantile Huber loss to the target's best action (Dabney et al. 2018)."""
    with torch.no_grad():
        following = model.quantile_net_target(batch["next_observations"])
        best = following.mean(dim=1).argmax(dim=1, keepdim=True)
        target = _bootstrapped(model, batch, _quantiles_of(following, best))
    quantiles = model.quantile_net(batch["observations"])
    taken = _quantiles_of(quantiles, batch["actions"].long())
    loss: torch.Tensor = quantile_huber_loss(taken, target, sum_over_quantiles=True)
    return loss


def _soft_actor(model: Any, batch: Batch) -> torch.Tensor:
    """E[α log π(a|s) − min Q(s, a)], a drawn from the policy (Haarnoja et al. 2018)."""
    actions, log_probability = _drawn(model, batch)
    values = torch.cat(model.critic(batch["observations"], actions), dim=1)
    loss: torch.Tensor = _temperature(model) * log_probability - values.min(dim=1).values
    return loss.mean()


def _truncated_actor(model: Any, batch: Batch) -> torch.Tensor:
    """E[α log π(a|s) − mean of all quantiles of Q(s, a)] (Kuznetsov et al. 2020)."""
    actions, log_probability = _drawn(model, batch)
    values = model.critic(batch["observations"], actions).mean(dim=(1, 2))
    loss: torch.Tensor = _temperature(model) * log_probability - values
    return loss.mean()


def _deterministic_actor(model: Any, batch: Batch) -> torch.Tensor:
    """−E[Q₁(s, μ(s))] (Lillicrap et al. 2016, Fujimoto et al. 2018)."""
    observations = batch["observations"]
    values: torch.Tensor = model.critic.q1_forward(observations, model.actor(observations))
    return -values.mean()


def _log_probability(model: Any, batch: Batch) -> torch.Tensor:
    """log π(a|s) of the actions that were taken."""
    actions = batch["actions"]
    if isinstance(model.action_space, spaces.Discrete):
        actions = actions.long().flatten()
    distribution = model.policy.get_distribution(batch["observations"])
    log_probability: torch.Tensor = distribution.log_prob(actions)
    return log_probability


def _advantages(model: Any, batch: Batch) -> torch.Tensor:
    advantages: torch.Tensor = batch["advantages"]
    if not model.normalize_advantage or len(advantages) < 2:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def _bootstrapped(model: Any, batch: Batch, following: torch.Tensor) -> torch.Tensor:
    discount = batch.get("discounts", model.gamma)
    target: torch.Tensor = batch["rewards"] + (1 - batch["dones"]) * discount * following
    return target


def _quantiles_of(quantiles: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """Of shape (batch, quantiles, actions) and (batch, 1): those of the actions alone."""
    count = quantiles.shape[1]
    return quantiles.gather(2, actions[..., None].expand(-1, count, 1)).squeeze(2)


def _drawn(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Actions of the policy, and their log probabilities, both of which depend on it."""
    if model.use_sde:
        model.actor.reset_noise()
    actions, log_probability = model.actor.action_log_prob(batch["observations"])
    return actions, log_probability.flatten()


def _temperature(model: Any) -> torch.Tensor:
    """α, which is the entropy coefficient; where it is learned, its logarithm is."""
    if model.log_ent_coef is not None:
        return torch.exp(model.log_ent_coef.detach())
    fixed: torch.Tensor = model.ent_coef_tensor
    return fixed


_STATES = ("observations",)
_DECISIONS = (*_STATES, "actions", "advantages")
_TRANSITIONS = (*_STATES, "actions", "rewards", "next_observations", "dones", "discounts")
POLICY_LOSSES: Mapping[str, PolicyLoss] = {
    "PPO": PolicyLoss(_surrogate, "policy", _DECISIONS),
    "TRPO": PolicyLoss(_surrogate, "policy", _DECISIONS),
    "A2C": PolicyLoss(_policy_gradient, "policy", _DECISIONS),
    "DQN": PolicyLoss(_temporal_difference, "q_net", _TRANSITIONS),
    "QRDQN": PolicyLoss(_quantile_regression, "quantile_net", _TRANSITIONS),
    "SAC": PolicyLoss(_soft_actor, "actor", _STATES),
    "CrossQ": PolicyLoss(_soft_actor, "actor", _STATES),
    "TQC": PolicyLoss(_truncated_actor, "actor", _STATES),
    "TD3": PolicyLoss(_deterministic_actor, "actor", _STATES),
    "DDPG": PolicyLoss(_deterministic_actor, "actor", _STATES),
}
"""By the algorithm's class; recurrent policies and evolution strategies have no such loss here."""
