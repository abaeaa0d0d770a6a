"""Curvature is the Hessian's largest eigenvalue, and training does not know that it is measured."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch.nn.functional import log_softmax, one_hot, smooth_l1_loss

from src.experiments.config import audit, parse_experiment, trainer_config
from src.experiments.config.allowed import DIAGNOSTICS as OFFERED
from src.experiments.config.models import ExperimentConfig
from src.experiments.domain.costs import diagnostics_cost
from src.experiments.domain.errors import UsageError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import EvaluationProtocol, TrainerConfig
from src.experiments.durability.journal import Record, read_journal, without_wall_clock
from src.experiments.training import Trainer
from src.experiments.training.diagnostics import DIAGNOSTICS, Measurement, Measuring
from src.experiments.training.sb3.backend import StableBaselines
from src.experiments.training.sb3.curvature import (
    BATCH_SIZE,
    CURVATURE_ITERATIONS,
    CURVATURE_MAX,
    NOISE_SEED,
    Curvature,
)
from src.experiments.training.sb3.policy_losses import POLICY_LOSSES
from src.experiments.training.sb3.state.plain import from_tensor_bytes
from tests.integration.test_exact_resume import (
    assert_exact,
    run_config,
    slow,
    steps_of_starts,
)

pytestmark = pytest.mark.integration

SMALL = {"net_arch": [4]}
OFF_POLICY = {"learning_starts": 20, "batch_size": 8, "buffer_size": 500, "policy_kwargs": SMALL}
SETTINGS: dict[str, dict[str, Any]] = {
    "PPO": {"n_steps": 32, "batch_size": 16, "n_epochs": 2, "policy_kwargs": SMALL},
    "TRPO": {"n_steps": 32, "batch_size": 16, "policy_kwargs": SMALL},
    "A2C": {"policy_kwargs": SMALL},
    "ARS": {"n_delta": 2, "policy_kwargs": SMALL},
    "TD3": {**OFF_POLICY, "policy_delay": 1},
    "QRDQN": {**OFF_POLICY, "policy_kwargs": {**SMALL, "n_quantiles": 5}},
}
CONTINUOUS = {"SAC", "TD3", "DDPG", "TQC", "CrossQ"}
CURVATURE = ("curvature",)
STEPS, FEW_STEPS = 96, 40


def config(algorithm: str, run_dir: Path | None = None, **fields: Any) -> TrainerConfig:
    settings = {**SETTINGS.get(algorithm, OFF_POLICY), **fields.pop("hyperparameters", {})}
    given: dict[str, Any] = {
        "environment": "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1",
        "total_timesteps": STEPS,
        "seed": 5,
        "hyperparameters": settings,
        "evaluation": EvaluationProtocol(frequency=32, episodes=1, final_episodes=1),
        "run_dir": run_dir,
        "diagnostics": CURVATURE,
        **fields,
    }
    return TrainerConfig(algorithm, **given)


class Unobserving:
    next_step = 10**9

    def observe(self, step: int, collect: Callable[[], dict[str, float]]) -> None:
        raise AssertionError


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> Iterator[StableBaselines]:
    """A backend that has trained a small model of the algorithm."""
    parameters = getattr(request, "param", "PPO")
    algorithm, settings = (parameters, {}) if isinstance(parameters, str) else parameters
    given = config(algorithm, hyperparameters=settings, total_timesteps=FEW_STEPS)
    with closing(StableBaselines(given)) as backend:
        backend.build()
        backend.train(Unobserving())
        yield backend


def curvature_of(backend: StableBaselines) -> tuple[Curvature, Measurement]:
    curvature = backend.diagnostics()["curvature"]
    assert isinstance(curvature, Curvature)
    return curvature, curvature.measure()


def batch_of(curvature: Curvature) -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = from_tensor_bytes(curvature.capture())
    return batch


# ---- the whole Hessian, by formulas of the test's own in double precision

Weights = dict[str, torch.Tensor]


def doubles(tensors: Any) -> Weights:
    return {name: value.detach().double() for name, value in tensors.items()}


def layer(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def largest_of_whole_hessian(
    loss: Callable[[Weights], torch.Tensor], moved: Weights
) -> tuple[float, int]:
    """The largest eigenvalue with respect to these weights, and their number."""
    sizes = [value.numel() for value in moved.values()]

    def of_flat(flat: torch.Tensor) -> torch.Tensor:
        parts = zip(moved.items(), flat.split(sizes), strict=True)
        return loss({name: part.view(value.shape) for (name, value), part in parts})

    flat = torch.cat([value.flatten() for value in moved.values()])
    hessian = torch.autograd.functional.hessian(of_flat, flat)
    return float(np.linalg.eigvalsh(hessian.numpy())[-1]), len(flat)


def whole_hessian_of_ppo(model: Any, batch: Weights) -> tuple[float, int]:
    weights = doubles(model.policy.state_dict())
    names = [n for n in weights if n.startswith(("mlp_extractor.policy_net", "action_net"))]
    advantages = batch["advantages"]
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    taken = one_hot(batch["actions"].long().flatten(), 2)

    def log_probability(moved: Weights) -> torch.Tensor:
        hidden = torch.tanh(layer(moved, "mlp_extractor.policy_net.0", batch["observations"]))
        return (log_softmax(layer(moved, "action_net", hidden), dim=1) * taken).sum(dim=1)

    moved = {name: weights[name] for name in names}
    before = log_probability(moved)
    return largest_of_whole_hessian(
        lambda w: -(advantages * torch.exp(log_probability(w) - before)).mean(), moved
    )


def whole_hessian_of_dqn(model: Any, batch: Weights) -> tuple[float, int]:
    online, target = doubles(model.q_net.state_dict()), doubles(model.q_net_target.state_dict())

    def values(weights: Weights, observations: torch.Tensor) -> torch.Tensor:
        return layer(weights, "q_net.2", torch.relu(layer(weights, "q_net.0", observations)))

    best = values(target, batch["next_observations"]).max(dim=1).values[:, None]
    wanted = batch["rewards"] + 0.99 * (1 - batch["dones"]) * best
    actions = batch["actions"].long()
    return largest_of_whole_hessian(
        lambda w: smooth_l1_loss(values(w, batch["observations"]).gather(1, actions), wanted),
        online,
    )


def whole_hessian_of_sac(model: Any, batch: Weights) -> tuple[float, int]:
    actor, critic = doubles(model.actor.state_dict()), doubles(model.critic.state_dict())
    observations = batch["observations"]
    temperature = float(model.log_ent_coef.detach().exp())
    torch.manual_seed(NOISE_SEED)
    noise = torch.normal(torch.zeros(len(observations), 1), torch.ones(len(observations), 1))

    def q(name: str, actions: torch.Tensor) -> torch.Tensor:
        x = torch.cat([observations, actions], dim=1)
        return layer(critic, f"{name}.2", torch.relu(layer(critic, f"{name}.0", x)))

    def loss(w: Weights) -> torch.Tensor:
        hidden = torch.relu(layer(w, "latent_pi.0", observations))
        log_std = layer(w, "log_std", hidden).clamp(-20, 2)
        raw = layer(w, "mu", hidden) + log_std.exp() * noise
        actions = torch.tanh(raw)
        log_probability = -(noise**2) / 2 - log_std - math.log(2 * math.pi) / 2
        log_probability = log_probability - torch.log(1 - actions**2 + 1e-6)
        worse = torch.minimum(q("qf0", actions), q("qf1", actions))
        return (temperature * log_probability - worse).mean()

    return largest_of_whole_hessian(loss, actor)


@pytest.mark.parametrize(
    ("trained", "whole_hessian"),
    [
        ("PPO", whole_hessian_of_ppo),
        ("DQN", whole_hessian_of_dqn),
        ("SAC", whole_hessian_of_sac),
    ],
    indirect=["trained"],
    ids=["PPO", "DQN", "SAC"],
)
def test_curvature_is_the_largest_eigenvalue_of_the_whole_hessian(
    trained: StableBaselines, whole_hessian: Callable[[Any, Weights], tuple[float, int]]
) -> None:
    curvature, measured = curvature_of(trained)
    expected, size = whole_hessian(trained.model, doubles(batch_of(curvature)))

    assert measured.why_not is None
    assert measured.metrics[CURVATURE_MAX] == pytest.approx(expected, rel=2e-3)
    assert 1 <= measured.metrics[CURVATURE_ITERATIONS] <= size


# ---- the losses

LOGGED = {
    "A2C": "train/policy_loss",
    "PPO": "train/policy_gradient_loss",
    "DQN": "train/loss",
    "QRDQN": "train/loss",
    "SAC": "train/actor_loss",
    "TQC": "train/actor_loss",
    "TD3": "train/actor_loss",
    "DDPG": "train/actor_loss",
}
"""What the library calls the loss of the policy."""
QUICK = ("A2C", "DQN", "TD3")


@pytest.mark.parametrize(
    "trained", [each if each in QUICK else slow(each, each) for each in LOGGED], indirect=True
)
def test_a_loss_is_what_the_library_itself_computes(trained: StableBaselines) -> None:
    model: Any = trained.model
    curvature, _ = curvature_of(trained)
    batch = batch_of(curvature)
    torch.manual_seed(NOISE_SEED)
    ours = float(POLICY_LOSSES[type(model).__name__].value(model, batch).detach())
    model.lr_schedule = lambda _: 0.0
    if hasattr(model, "replay_buffer"):
        samples = model.replay_buffer.sample(BATCH_SIZE)._replace(**batch)
        torch.manual_seed(NOISE_SEED)
        model.replay_buffer.sample = lambda *_, **__: samples
        model.train(gradient_steps=1, batch_size=BATCH_SIZE)
    else:
        model.n_epochs = 1
        model.rollout_buffer.get = lambda *_, **__: [rollout(model, batch)]
        model.train()

    theirs = model.logger.name_to_value[LOGGED[type(model).__name__]]
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


def rollout(model: Any, batch: Any) -> RolloutBufferSamples:
    """The batch as if the policy had acted as it would now."""
    values, log_probabilities, _ = model.policy.evaluate_actions(
        batch["observations"], batch["actions"].flatten()
    )
    old = (values.detach().flatten(), log_probabilities.detach())
    returns = torch.zeros_like(old[0])
    return RolloutBufferSamples(
        batch["observations"], batch["actions"], *old, batch["advantages"], returns
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "trained",
    ["TRPO", "CrossQ", ("SAC", {"use_sde": True}), ("SAC", {"ent_coef": 0.1})],
    indirect=True,
    ids=["TRPO", "CrossQ", "SAC with exploration by state", "SAC with a fixed temperature"],
)
def test_other_losses_have_a_curvature_too(trained: StableBaselines) -> None:
    _, measured = curvature_of(trained)

    assert measured.why_not is None
    assert math.isfinite(measured.metrics[CURVATURE_MAX])


def test_one_table_says_what_is_offered_and_another_does_it() -> None:
    (accepted,) = {
        names
        for names in map(
            get_args, get_args(ExperimentConfig.model_fields["diagnostics"].annotation)
        )
        if names
    }

    assert set(OFFERED) == set(DIAGNOSTICS) == set(accepted)
    assert set(OFFERED["curvature"]) == set(POLICY_LOSSES)


# ---- the batch


@pytest.mark.parametrize("trained", ["PPO", "SAC"], indirect=True)
def test_a_measurement_repeats_itself_on_the_same_batch(trained: StableBaselines) -> None:
    curvature, first = curvature_of(trained)
    told = curvature.capture()
    trained.train(Unobserving())  # other experience, other parameters
    second = curvature.measure()
    other, _ = curvature_of(trained)

    assert curvature.capture() == told != other.capture()
    assert second.metrics[CURVATURE_MAX] != first.metrics[CURVATURE_MAX]
    other.restore(told)
    assert other.measure() == second


def test_observations_in_parts_of_several_normalised_environments_are_a_batch(
    tmp_path: Path,
) -> None:
    fields: dict[str, Any] = {"environment": "PointingPendulum-v0", "normalize": {}, "n_envs": 2}
    result = Trainer(config("SAC", tmp_path, **fields)).train()

    assert result.success
    assert [len(each["metrics"]) for each in measurements(tmp_path)] == [2, 2]


# ---- what it leaves alone


def everything(model: Any) -> dict[str, Any]:
    """What a training step depends on or leaves, bit for bit."""
    modules = [module for part in (model.policy,) for module in part.modules()]
    gradients = [weight.grad for weight in model.policy.parameters()]
    return {
        "weights": [bytes(v.numpy().tobytes()) for v in model.policy.state_dict().values()],
        "identity of gradients": [id(each) for each in gradients],
        "gradients": [None if each is None else each.numpy().tobytes() for each in gradients],
        "modes": [module.training for module in modules],
        "trainable": [weight.requires_grad for weight in model.policy.parameters()],
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
        "actions": str(model.action_space.np_random.bit_generator.state),
        "noise": getattr(getattr(model, "actor", None), "action_dist", None)
        and id(getattr(model.actor.action_dist, "exploration_mat", None)),
        "gradients are on": torch.is_grad_enabled(),
    }


@pytest.mark.parametrize(
    ("trained", "mode"),
    [
        ("PPO", False),
        (("SAC", {"use_sde": True}), True),
        pytest.param("DQN", True, marks=pytest.mark.slow),
        pytest.param("CrossQ", False, marks=pytest.mark.slow),
    ],
    indirect=["trained"],
    ids=["PPO", "SAC with exploration by state", "DQN", "CrossQ"],
)
def test_a_measurement_leaves_everything_as_it_was(trained: StableBaselines, mode: bool) -> None:
    trained.model.policy.set_training_mode(mode)
    before = everything(trained.model)
    _, measured = curvature_of(trained)

    assert measured.metrics
    assert everything(trained.model) == before


@pytest.mark.parametrize(
    ("algorithm", "hyperparameters"),
    [
        ("PPO", {}),
        ("DQN", {}),
        ("SAC", {}),
        pytest.param("SAC", {"use_sde": True, "train_freq": 8}, marks=pytest.mark.slow),
        *(pytest.param(each, {}, marks=pytest.mark.slow) for each in ("CrossQ", "TRPO", "TD3")),
    ],
)
def test_training_is_the_same_with_and_without(
    tmp_path: Path, algorithm: str, hyperparameters: dict[str, Any]
) -> None:
    results = {}
    for diagnostics in (CURVATURE, ()):
        given = config(
            algorithm,
            tmp_path / str(len(diagnostics)),
            diagnostics=diagnostics,
            hyperparameters=hyperparameters,
        )
        results[diagnostics] = Trainer(given).train()
    measured, plain = results[CURVATURE], results[()]

    assert measured.parameters_sha256 == plain.parameters_sha256
    assert measured.evaluations == plain.evaluations
    assert len(measurements(tmp_path / "1")) > 1
    others = [each for each in journal(tmp_path / "1") if each["kind"] != "diagnostics"]
    assert others == journal(tmp_path / "0")


# ---- the journal


def journal(run_dir: Path) -> list[Record]:
    return [without_wall_clock(each) for each in read_journal(RunPaths(run_dir).journal)]


def measurements(run_dir: Path) -> list[Record]:
    records = read_journal(RunPaths(run_dir).journal)
    return [each for each in records if each["kind"] == "diagnostics"]


def test_it_is_measured_with_every_second_evaluation_and_the_last(tmp_path: Path) -> None:
    protocol = EvaluationProtocol(frequency=10, episodes=1, final_episodes=1)
    Trainer(config("A2C", tmp_path, evaluation=protocol)).train()

    evaluated = [each["step"] for each in journal(tmp_path) if each["kind"] == "evaluation"]
    measured = [each["step"] for each in measurements(tmp_path)]
    assert measured == [*evaluated[:-1:2], evaluated[-1]]
    assert len(measured) == 6
    for each in measurements(tmp_path):
        assert set(each["metrics"]) == {CURVATURE_MAX, CURVATURE_ITERATIONS}


def test_what_it_took_is_told_apart_from_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    began = time.perf_counter()
    result = Trainer(config("PPO", tmp_path)).train()
    wall = time.perf_counter() - began

    finished = read_journal(RunPaths(tmp_path).journal)[-1]
    single = [each["diagnostics_time"] for each in measurements(tmp_path)]
    assert all(seconds > 0 for seconds in single)
    assert sum(single) <= result.diagnostics_time == finished["diagnostics_time"]
    assert result.training_time + result.evaluation_time + result.diagnostics_time < wall
    sentence = diagnostics_cost(result.diagnostics_time, result.training_time)
    assert sentence is not None
    assert sentence in caplog.text


def test_what_it_took_is_said_in_a_sentence() -> None:
    assert diagnostics_cost(1.23, 41.0) == "diagnostics took 1.2 s, 3.0 % of training"
    assert diagnostics_cost(0.0412, 12.0) == "diagnostics took 0.04 s, 0.3 % of training"
    assert diagnostics_cost(250.0, 0.0) == "diagnostics took 250.0 s"
    assert diagnostics_cost(0.0, 12.0) is None


def test_measurements_do_not_count_as_training() -> None:
    class Slow:
        def measure(self) -> Measurement:
            time.sleep(0.05)
            return Measurement({"diagnostics/patience": 1.0})

        def capture(self) -> Any:
            return None

        def restore(self, state: Any) -> None:
            assert state is None

    told: list[Record] = []
    measuring = Measuring({"slow": Slow()})
    for number in (1, 2, 3):
        measuring.after_evaluation(
            number, number, lambda kind, step, **f: told.append({"step": step, **f}), final=False
        )
    again = Measuring({"slow": Slow()})
    again.go_on(measuring.capture())

    assert [each["step"] for each in told] == [1, 3]
    assert 0.1 <= sum(each["diagnostics_time"] for each in told) <= measuring.seconds
    assert again.seconds == measuring.seconds


def test_nothing_is_measured_unless_it_is_asked_for(tmp_path: Path) -> None:
    result = Trainer(config("PPO", tmp_path, diagnostics=())).train()

    assert result.diagnostics_time == 0.0
    assert measurements(tmp_path) == []
    assert "diagnostics_time" not in read_journal(RunPaths(tmp_path).journal)[-1]


def texts(run_dir: Path) -> list[tuple[int, str, str]]:
    return [(e["step"], e["name"], e["text"]) for e in journal(run_dir) if e["kind"] == "text"]


def test_before_anything_is_learned_there_is_a_text_and_no_number(tmp_path: Path) -> None:
    Trainer(config("DQN", tmp_path, hyperparameters={"learning_starts": 80})).train()

    assert texts(tmp_path) == [(32, "curvature", "not measured: there was no update yet")]
    assert [each["step"] for each in measurements(tmp_path)] == [96]


def test_an_algorithm_that_does_not_offer_it_says_so_and_trains(tmp_path: Path) -> None:
    result = Trainer(config("ARS", tmp_path)).train()

    assert result.success
    assert measurements(tmp_path) == []
    assert {text for _, _, text in texts(tmp_path)} == {
        "not measured: ARS has no loss that it could be of"
    }


@pytest.mark.parametrize("trained", ["SAC"], indirect=True)
def test_a_measurement_that_fails_is_told_as_data(trained: StableBaselines) -> None:
    curvature, _ = curvature_of(trained)
    with torch.no_grad():
        next(iter(trained.model.critic.parameters())).fill_(math.nan)  # type: ignore[attr-defined]
    measured = curvature.measure()

    assert measured.metrics == {}
    assert measured.why_not is not None
    assert "not finite" in measured.why_not


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown diagnostic 'sharpness'.*curvature"):
        Trainer(config("PPO", diagnostics=("sharpness",))).train()


# ---- going on


@pytest.mark.parametrize(
    "algorithm", [each if each == "DQN" else slow(each, each) for each in OFFERED["curvature"]]
)
def test_a_crashed_run_measures_on_as_if_nothing_had_happened(
    tmp_path: Path, algorithm: str
) -> None:
    assert_exact(tmp_path, algorithm, parts=(0.8,), diagnostics=CURVATURE)

    crashed = run_config(tmp_path / "parts", algorithm)
    assert crashed.run_dir is not None
    measured = measurements(crashed.run_dir)
    assert len(measured) > 1
    assert measured[0]["step"] < steps_of_starts(crashed)[-1] < measured[-1]["step"]


# ---- the experiment file


def experiment(variant: dict[str, Any]) -> ExperimentConfig:
    baseline = {"algorithm": "PPO", "environment": "CartPole-v1", "training_steps": 4096}
    return parse_experiment(
        {
            "baseline_config": baseline,
            "variant_config": {"extends": "baseline", **variant},
            "seeds": 5,
            "evaluation": {"frequency": 1000},
            "diagnostics": ["curvature", "curvature"],
        }
    )


def test_the_file_asks_for_it() -> None:
    asked = experiment({"hyperparameters": {"gamma": 0.9}})

    assert audit(asked).warnings == ()
    for arm in asked.arms.values():
        assert trainer_config(arm, seed=1, experiment=asked).diagnostics == CURVATURE


def test_an_arm_that_does_not_offer_it_is_noticed() -> None:
    asked = experiment({"algorithm": "RecurrentPPO"})
    baseline, variant = asked.arms.values()

    notice = "variant: curvature is not measured: RecurrentPPO does not support it"
    assert notice in audit(asked).notices
    assert trainer_config(baseline, seed=1, experiment=asked).diagnostics == CURVATURE
    assert trainer_config(variant, seed=1, experiment=asked).diagnostics == ()
