"""Actors with a critic that compute actions, values and probabilities in one function each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import Tensor

from ..patching import wrapped
from .networks import Layer, calls_more, chain
from .observations import has_flat_features, is_vector

Function = Callable[..., Any]
LOG_ROOT_TWO_PI = math.log(math.sqrt(2 * math.pi))
ENTROPY_OF_UNIT = 0.5 + 0.5 * math.log(2 * math.pi)


@contextmanager
def lean_policies(model: BaseAlgorithm) -> Iterator[None]:
    """Stand in for the methods of a plain actor with a critic; other policies are left alone."""
    policy: Any = model.policy
    with ExitStack() as stack:
        if model.device.type == "cpu" and _is_known(policy):
            lean = LeanPolicy.of(policy)
            for name in ("forward", "predict_values", "evaluate_actions"):
                stack.enter_context(wrapped(policy, name, getattr(lean, name)))
        yield


def _is_known(policy: Any) -> bool:
    return (
        type(policy) is ActorCriticPolicy
        and type(policy.mlp_extractor) is MlpExtractor
        and type(policy.action_dist) in (CategoricalDistribution, DiagGaussianDistribution)
        and is_vector(policy.observation_space)
        and has_flat_features(policy)
        and not any(map(calls_more, _passed_over(policy)))
    )


def _passed_over(policy: Any) -> list[Any]:
    """The modules that are not called any more, only their layers."""
    hidden = policy.mlp_extractor
    return [policy.features_extractor, hidden, hidden.policy_net, hidden.value_net]


@dataclass(frozen=True)
class LeanPolicy:
    """The functions of one policy; each method takes the library's own, for what is unusual."""

    actor: Layer
    """From observations to logits, or to means."""
    critic: Layer
    shape: tuple[int, ...]
    """Of one action."""
    log_std: Callable[[], Tensor] | None
    """Logarithm of the standard deviations; None for discrete actions."""

    @classmethod
    def of(cls, policy: ActorCriticPolicy) -> LeanPolicy:
        """The functions of a policy whose parameters may be exchanged later."""
        hidden, parameters = policy.mlp_extractor, policy._parameters
        is_gaussian = type(policy.action_dist) is DiagGaussianDistribution
        return cls(
            actor=chain([*hidden.policy_net, policy.action_net]),
            critic=chain([*hidden.value_net, policy.value_net]),
            shape=policy.action_space.shape or (),
            log_std=(lambda: cast("Tensor", parameters["log_std"])) if is_gaussian else None,
        )

    def forward(self, usual: Function) -> Function:
        """Sampled actions, values and log probabilities, in a rollout."""
        sample = self._sampled_class if self.log_std is None else self._sampled_vector

        def forward(observations: Tensor, deterministic: bool = False) -> Any:
            if deterministic or not _is_plain(observations) or torch.is_grad_enabled():
                return usual(observations, deterministic)
            with torch.inference_mode():
                actions, log_probabilities = sample(self.actor(observations))
                values = self.critic(observations)
                return actions.reshape((-1, *self.shape)), values, log_probabilities

        return forward

    def predict_values(self, usual: Function) -> Function:
        """Values, in a rollout."""

        def predict_values(observations: Tensor) -> Any:
            if not _is_plain(observations) or torch.is_grad_enabled():
                return usual(observations)
            with torch.inference_mode():
                return self.critic(observations)

        return predict_values

    def evaluate_actions(self, usual: Function) -> Function:
        """Values, log probabilities and entropy, with their gradients, in an update."""
        evaluate = self._evaluated_class if self.log_std is None else self._evaluated_vector

        def evaluate_actions(observations: Tensor, actions: Tensor) -> Any:
            if not _is_plain(observations):
                return usual(observations, actions)
            return evaluate(observations, actions)

        return evaluate_actions

    def _sampled_class(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        logs = logits - logits.logsumexp(dim=-1, keepdim=True)
        probabilities = torch.softmax(logs, dim=-1)
        # as torch.multinomial draws one sample, without its checks
        waits = torch.empty_like(probabilities).exponential_(1.0)
        actions = torch.div(probabilities, waits, out=waits).argmax(dim=-1, keepdim=True)
        return actions.squeeze(-1), logs.gather(-1, actions).squeeze(-1)

    def _sampled_vector(self, means: Tensor) -> tuple[Tensor, Tensor]:
        deviations = self._deviations(means)
        actions = means + torch.empty_like(means).normal_() * deviations
        return actions, _log_density(actions, means, deviations)

    def _evaluated_class(self, observations: Tensor, actions: Tensor) -> Any:
        # the order in which operations are recorded is that in which gradients are added up
        logits, values = self.actor(observations), self.critic(observations)
        logs = logits - logits.logsumexp(dim=-1, keepdim=True)
        chosen = logs.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)
        finite = torch.clamp(logs, min=torch.finfo(logs.dtype).min)
        entropy = -(finite * torch.softmax(logs, dim=-1)).sum(-1)
        return values, chosen, entropy

    def _evaluated_vector(self, observations: Tensor, actions: Tensor) -> Any:
        means, values = self.actor(observations), self.critic(observations)
        deviations = self._deviations(means)
        log_density = _log_density(actions, means, deviations)
        entropy = (ENTROPY_OF_UNIT + torch.log(deviations)).sum(dim=1)
        return values, log_density, entropy

    def _deviations(self, means: Tensor) -> Tensor:
        assert self.log_std is not None  # noqa: S101 - asked for vectors only
        return torch.ones_like(means) * self.log_std().exp()


def _is_plain(observations: Any) -> bool:
    return (
        isinstance(observations, Tensor)
        and observations.ndim == 2
        and observations.dtype == torch.float32
    )


def _log_density(values: Tensor, means: Tensor, deviations: Tensor) -> Tensor:
    """Of independent normal distributions, summed over the parts of an action."""
    variances = deviations**2
    logs = deviations.log()
    densities = -((values - means) ** 2) / (2 * variances) - logs - LOG_ROOT_TWO_PI
    return densities.sum(dim=1)
