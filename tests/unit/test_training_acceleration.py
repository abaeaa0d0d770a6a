"""Pieces of acceleration stand in where they know what they do, and are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common import off_policy_algorithm
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import dummy_vec_env
from torch.distributions import Distribution

from src.experiments.domain.acceleration import Piece, chosen_pieces
from src.experiments.training.sb3.acceleration import accelerated
from src.experiments.training.sb3.optimizers import optimizers


def small() -> dict[str, Any]:
    """Settings of a small model; anew each time, for the library writes into them."""
    return {"policy_kwargs": {"net_arch": [8]}, "device": "cpu", "seed": 1}


def replay() -> dict[str, Any]:
    return {**small(), "buffer_size": 50, "learning_starts": 5, "batch_size": 4}


@pytest.fixture
def ppo() -> PPO:
    return PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, **small())


@pytest.fixture
def sac() -> SAC:
    return SAC("MlpPolicy", "Pendulum-v1", **replay())


def in_place(model: BaseAlgorithm) -> dict[str, Any]:
    """Every function that a piece can replace, and every switch, by its place."""
    import stable_baselines3.dqn.dqn
    import stable_baselines3.sac.sac
    import stable_baselines3.td3.td3

    found = dict(_functions(model))
    found["deepcopy"] = (off_policy_algorithm.deepcopy, dummy_vec_env.deepcopy)
    found["clip"] = torch.nn.utils.clip_grad_norm_
    found["checks"] = Distribution._validate_args
    for module in (
        stable_baselines3.sac.sac,
        stable_baselines3.td3.td3,
        stable_baselines3.dqn.dqn,
    ):
        found[module.__name__] = module.polyak_update
    found["ways"] = [group["foreach"] for each in optimizers(model) for group in each.param_groups]
    return found


def _functions(model: BaseAlgorithm) -> Iterator[tuple[str, Any]]:
    owners = [*model.policy.modules(), *optimizers(model)]
    owners += [getattr(model, name, None) for name in ("rollout_buffer", "replay_buffer")]
    for number, owner in enumerate(owners):
        for name, value in vars(owner).items() if owner is not None else ():
            if callable(value) and not isinstance(value, torch.nn.Module):
                yield f"{number} {name}", value


EFFECTIVE = {
    "PPO": set(Piece) - {Piece.CRITICS, Piece.TARGETS},
    "SAC": set(Piece) - {Piece.POLICIES},
}


@pytest.mark.parametrize("piece", Piece)
@pytest.mark.parametrize("name", EFFECTIVE)
def test_a_piece_stands_in_only_inside_the_block(
    name: str, piece: Piece, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name.lower())
    before = in_place(model)

    with accelerated(model, [piece]):
        inside = in_place(model)

    assert (inside != before) == (piece in EFFECTIVE[name])
    assert in_place(model) == before


def test_everything_is_put_back_after_an_error(ppo: PPO) -> None:
    before = in_place(ppo)

    with pytest.raises(KeyError), accelerated(ppo, True):
        raise KeyError

    assert in_place(ppo) == before


def test_without_acceleration_nothing_is_replaced(sac: SAC) -> None:
    before = in_place(sac)

    with accelerated(sac, False):
        assert in_place(sac) == before


def test_true_false_and_names_choose_pieces() -> None:
    assert chosen_pieces(True) == set(Piece)
    assert chosen_pieces(False) == set()
    assert chosen_pieces(["walks", "copies"]) == {Piece.WALKS, Piece.COPIES}


def test_the_methods_of_a_policy_of_one_s_own_are_called() -> None:
    calls = []

    class OwnPolicy(ActorCriticPolicy):
        def evaluate_actions(self, obs: Any, actions: Any) -> Any:
            calls.append(len(actions))
            return super().evaluate_actions(obs, actions)

    model = A2C(OwnPolicy, "CartPole-v1", n_steps=6, **small())
    with accelerated(model, True):
        model.learn(6)

    assert calls == [6]


def test_a_hook_on_a_layer_is_called(ppo: PPO) -> None:
    calls = []
    ppo.policy.mlp_extractor.policy_net[0].register_forward_hook(lambda *_: calls.append(1))

    with accelerated(ppo, [Piece.NETWORKS]):
        ppo.policy.predict(np.zeros((1, 4), np.float32))

    assert calls == [1]


def test_hooks_of_an_optimiser_are_called_around_each_step(sac: SAC) -> None:
    calls: list[str] = []
    sac.critic.optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    sac.critic.optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    with accelerated(sac, True):
        sac.learn(9)

    assert calls == ["before", "after"] * 4


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_an_actor_s_loss_gives_no_gradient_to_the_critics_and_the_same_to_the_action(
    kind: Any,
) -> None:
    model = kind("MlpPolicy", "Pendulum-v1", **replay())
    observations = torch.ones(4, 3)

    def gradients() -> tuple[bytes, list[bool]]:
        model.critic.optimizer.zero_grad()
        actions = torch.full((4, 1), 0.3, requires_grad=True)
        sum(value.sum() for value in model.critic(observations, actions)).backward()
        has = [weight.grad is not None for weight in model.critic.parameters()]
        assert actions.grad is not None
        return actions.grad.numpy().tobytes(), has

    usual, had = gradients()
    with accelerated(model, [Piece.CRITICS]):
        lean, has = gradients()

    assert all(had)
    assert not any(has)
    assert usual == lean


def test_the_critics_own_loss_still_has_gradients(sac: SAC) -> None:
    with accelerated(sac, True):
        values = sac.critic(torch.ones(4, 3), torch.ones(4, 1))
        sum(value.sum() for value in values).backward()

    assert all(weight.grad is not None for weight in sac.critic.parameters())


def test_what_an_info_holds_is_no_longer_shared() -> None:
    inner: dict[str, Any] = {"inside": {"list": [1]}}
    infos = [{"plain": 1}, {"array": np.zeros(2)}, inner]
    model = DQN("MlpPolicy", "CartPole-v1", **replay())

    with accelerated(model, [Piece.COPIES]):
        copied = dummy_vec_env.deepcopy(infos)  # type: ignore[attr-defined]
    infos[0]["plain"] = 2
    infos[1]["array"] += 1
    inner["inside"]["list"].append(2)

    assert copied[0] == {"plain": 1}
    assert copied[1]["array"].tolist() == [0, 0]
    assert copied[2] == {"inside": {"list": [1]}}


def test_a_mode_reaches_the_modules_that_the_library_sets(sac: SAC) -> None:
    def modes() -> list[bool]:
        return [module.training for module in sac.policy.modules()]

    usual = []
    for mode in (True, False):
        sac.policy.set_training_mode(mode)
        usual.append(modes())
    with accelerated(sac, [Piece.WALKS]):
        lean = []
        for mode in (True, False):
            sac.policy.set_training_mode(mode)
            lean.append(modes())

    assert usual == lean
    assert usual[0] != usual[1]


def test_an_observation_of_another_shape_is_refused_as_ever(ppo: PPO) -> None:
    with accelerated(ppo, True), pytest.raises(ValueError, match="shape"):
        ppo.policy.predict(np.zeros((1, 5), np.float32))


class OwnFeatures(ActorCriticPolicy):
    """Overrides one function of those that see observations."""

    def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
        return super().extract_features(obs, features_extractor) * 2.0


def test_functions_of_ones_own_that_see_observations_are_called() -> None:
    model = PPO(OwnFeatures, "CartPole-v1", n_steps=8, batch_size=8, **small())
    observations = torch.ones(1, 4)
    plain = model.policy.extract_features(observations)
    with accelerated(model, accelerate=True):
        seen = model.policy.extract_features(observations)

    assert torch.equal(plain, seen)
    assert float(seen[0, 0]) == 2.0


@pytest.mark.parametrize("name", ["mlp_extractor", "features_extractor"])
def test_what_is_hooked_on_to_a_module_of_the_policy_is_called(ppo: PPO, name: str) -> None:
    calls: list[int] = []
    getattr(ppo.policy, name).register_forward_hook(lambda *_: calls.append(1))
    with accelerated(ppo, accelerate=True):
        ppo.learn(16)

    assert calls


def test_clipping_takes_the_norms_order_by_its_position(ppo: PPO) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 3.0)
    with accelerated(ppo, accelerate=True):
        norm = torch.nn.utils.clip_grad_norm_([weight], 0.5, 1.0)

    assert float(norm) == 6.0
