"""The losses of both algorithms, against the same by hand from dialogues and probabilities."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from src.experiments.training import Trainer
from src.experiments.training.backend import create_backend
from tests.integration.test_grpo import journal, run_config
from tests.language import needs_trl

pytestmark = [pytest.mark.integration, needs_trl]

BETA, BUDGET, MINIBATCHES, TEMPERATURE = 0.3, 32, 2, 0.8
CLIPPED_BELOW, CLIPPED_ABOVE = 0.8, 1.2


@dataclass
class Minibatch:
    """The parts of a minibatch's loss, by hand, and what its tokens are like."""

    policy: float
    kl: float
    entropy: float
    told: int
    """Tokens that the task said, and the model did not."""
    farthest: float
    """How far a ratio is from 1 at most."""
    loss: float = 0.0
    """TRL's."""


@dataclass
class Calculator:
    """The loss of both algorithms from the dialogues, and from nothing that TRL made of them.

    DeepSeekMath (arXiv:2402.03300), equations 3 and 4; Liu et al. 2025 (arXiv:2503.20783).
    """

    algorithm: str
    entropy_coef: float = 0.0
    batch: list[Any] = field(default_factory=list)
    """The rollouts of the newest batch; the completions of a prompt stand side by side."""

    def minibatch(self, learning: Any, inputs: dict[str, Any]) -> Minibatch:
        found = Minibatch(0.0, 0.0, 0.0, told=0, farthest=0.0)
        rows = len(inputs["completion_ids"])
        entropies: list[float] = []
        for row in range(rows):
            tokens, number = self._rollout_of(inputs, row)
            weight = 1 / rows / MINIBATCHES
            weight /= BUDGET if self.algorithm == "DR_GRPO" else tokens.length
            self._add_row(found, learning, inputs, row, number, weight)
            entropies += entropies_of_said(learning.model, tokens)
        found.entropy = -self.entropy_coef * mean(entropies) / MINIBATCHES
        return found

    def _rollout_of(self, inputs: dict[str, Any], row: int) -> tuple[Any, int]:
        parts = [
            inputs[f"{part}_ids"][row][inputs[f"{part}_mask"][row].bool()].tolist()
            for part in ("prompt", "completion")
        ]
        is_same = (parts == [each.prompt, each.completion] for each in self.batch)
        number = next(number for number, same in enumerate(is_same) if same)
        return self.batch[number], number

    def _advantage(self, number: int, group: int) -> float:
        first = number - number % group
        rewards = [each.dialogue.reward for each in self.batch[first : first + group]]
        advantage: float = rewards[number - first] - mean(rewards)
        return advantage if self.algorithm == "DR_GRPO" else advantage / (stdev(rewards) + 1e-4)

    def _add_row(
        self, found: Minibatch, learning: Any, inputs: Any, row: int, number: int, weight: float
    ) -> None:
        rollout = self.batch[number]
        advantage = self._advantage(number, learning.num_generations)
        now = log_probabilities(learning.model, rollout)
        reference = log_probabilities(learning.ref_model, rollout)
        old = inputs["old_per_token_logps"][row].tolist()
        for place, is_said in enumerate(rollout.is_said):
            if not is_said:
                found.told += 1
                continue
            ratio = exp(now[place] - old[place])
            clipped = min(max(ratio, CLIPPED_BELOW), CLIPPED_ABOVE)
            difference = reference[place] - now[place]
            found.policy -= weight * min(ratio * advantage, clipped * advantage)
            found.kl += weight * BETA * (exp(difference) - difference - 1)
            found.farthest = max(found.farthest, abs(ratio - 1))


def log_probabilities(model: Any, rollout: Any) -> list[float]:
    """Of each token of a completion, by a model that sees this one dialogue alone."""
    scores = scores_of(model, rollout)
    return [float(scores[place, token]) for place, token in enumerate(rollout.completion)]


def entropies_of_said(model: Any, rollout: Any) -> list[float]:
    """Of what the model might have said, at each token of a completion that it did say."""
    scores = scores_of(model, rollout)
    return [
        -float((scores[place].exp() * scores[place]).sum())
        for place, is_said in enumerate(rollout.is_said)
        if is_said
    ]


def scores_of(model: Any, rollout: Any) -> Any:
    """Log-probabilities of all tokens at each place of a completion."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([rollout.context])).logits[0].double()
    return torch.log_softmax(logits / TEMPERATURE, dim=1)[len(rollout.prompt) - 1 : -1]


def watch(calculator: Calculator, monkeypatch: pytest.MonkeyPatch) -> list[Minibatch]:
    """What each minibatch's loss is by hand, and by TRL."""
    from src.experiments.training.trl import learning as module

    seen: list[Minibatch] = []
    compute, tell = module.Learning._compute_loss, module._as_told

    def told(rollouts: Any) -> Any:
        calculator.batch = list(rollouts)
        return tell(rollouts)

    def watched(self: Any, model: Any, inputs: Any) -> Any:
        seen.append(calculator.minibatch(self, inputs))
        loss = compute(self, model, inputs)
        seen[-1].loss = float(loss.detach())
        return loss

    monkeypatch.setattr(module, "_as_told", told)
    monkeypatch.setattr(module.Learning, "_compute_loss", watched)
    return seen


class Every:
    """Takes down the metrics at each boundary."""

    next_step = 0

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def observe(self, step: int, collect: Any) -> None:
        self.rows.append(collect())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "entropy_coef"), [("GRPO", 0.0), ("DR_GRPO", 0.0), ("DR_GRPO", 0.1)]
)
def test_the_loss_is_the_published_one_of_what_the_model_said(
    algorithm: str, entropy_coef: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run_config(
        tmp_path,
        algorithm,
        model_name="tiny",  # it calls the calculator, which answers in the middle of a completion
        beta=BETA,
        entropy_coef=entropy_coef,
        temperature=TEMPERATURE,
        learning_rate=3e-3,
        max_completion_length=BUDGET,
        num_iterations=2,
        num_generations=8,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=MINIBATCHES,
        steps_per_generation=MINIBATCHES,
    )
    config = replace(config, environment="multiturn_calculator", environment_kwargs={})
    seen = watch(Calculator(algorithm, entropy_coef), monkeypatch)
    every = Every()
    with closing(create_backend("trl", config)) as backend:
        backend.build()
        last = backend.train(every).last

    assert len(seen) == MINIBATCHES * config.total_timesteps
    assert sum(each.told for each in seen) > 100
    assert max(each.farthest for each in seen) > CLIPPED_ABOVE - 1
    assert max(each.kl for each in seen) > 1e-3
    for each in seen:
        expected = each.policy + each.kl + each.entropy
        assert each.loss == pytest.approx(expected, rel=1e-3, abs=1e-5)
    if algorithm == "DR_GRPO":
        told = [each for each in [*every.rows, last] if "training_step/loss" in each]
        check_parts(told, seen)


def check_parts(rows: list[dict[str, float]], seen: list[Minibatch]) -> None:
    """Rows are written where a batch has been learned from: in every second step."""
    assert 2 * MINIBATCHES * len(rows) == len(seen)
    for number, row in enumerate(rows):
        of_step = seen[2 * MINIBATCHES * number + MINIBATCHES :][:MINIBATCHES]
        policy, kl = sum(each.policy for each in of_step), sum(each.kl for each in of_step)
        assert row["training_step/dr_component_kl"] == pytest.approx(kl, rel=1e-3, abs=1e-6)
        assert row["training_step/dr_component_policy"] == pytest.approx(policy, rel=1e-3, abs=1e-5)
        check_entropy(row, sum(each.entropy for each in of_step))


def check_entropy(row: dict[str, float], entropy: float) -> None:
    """By hand and by TRL, which tells the loss without the bonus; without a weight it is absent."""
    told = row.get("training_step/dr_component_entropy")
    if entropy == 0:
        assert told is None
        return
    assert entropy < -0.01
    assert told == pytest.approx(entropy, rel=1e-3)
    rest = row["training_step/dr_component_policy"] + row["training_step/dr_component_kl"]
    assert rest == pytest.approx(row["trl/policy_loss"], rel=1e-6)
    assert rest + told == pytest.approx(row["training_step/loss"], rel=1e-6)


@pytest.mark.slow
def test_of_two_processes_the_divergence_is_that_of_both(tmp_path: Path) -> None:
    config = run_config(
        tmp_path,
        "DR_GRPO",
        beta=0.1,
        learning_rate=0.02,
        num_iterations=1,
        per_device_train_batch_size=4,
        processes=2,
    )
    Trainer(replace(config, total_timesteps=16)).train()

    rows = [each["metrics"] for each in journal(config) if each["kind"] == "metrics"]
    # where all completions of each prompt earn the same, nothing but the divergence is left
    alike = [each for each in rows if each["batch_returns/groups_alike"] == 1]
    assert max(each["training_step/dr_component_kl"] for each in alike) > 1e-4
    for row in alike:
        assert row["training_step/dr_component_policy"] == pytest.approx(0, abs=1e-6)
