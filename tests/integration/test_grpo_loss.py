"""The parts of Dr. GRPO's loss, against the same by hand from the tokens' probabilities."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.tasks.arithmetic import Question
from src.experiments.training import Trainer
from src.experiments.training.backend import create_backend
from tests.integration.test_grpo import journal, run_config
from tests.language import needs_trl

pytestmark = [pytest.mark.integration, needs_trl]

BETA, BUDGET, MINIBATCHES = 0.1, 12, 2


@dataclass
class Minibatch:
    """The parts of a minibatch's loss, by hand, and how much of the room its tokens fill."""

    policy: float
    kl: float
    filled: float


def by_hand(learning: Any, inputs: dict[str, Any]) -> Minibatch:
    """Liu et al. 2025: sums over tokens, divided by the room for them; ratios not yet clipped."""
    import torch

    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    known = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    positions = (known.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = learning.model(input_ids=ids, attention_mask=known, position_ids=positions).logits
    policy = kl = tokens = 0.0
    rows, width = inputs["completion_ids"].shape
    start = inputs["prompt_ids"].shape[1]
    for row in range(rows):
        for column in range(width):
            if not inputs["completion_mask"][row, column] * inputs["tool_mask"][row, column]:
                continue
            scores = torch.log_softmax(logits[row, start + column - 1].double(), 0)
            now = float(scores[inputs["completion_ids"][row, column]])
            old = now
            if inputs.get("old_per_token_logps") is not None:
                old = float(inputs["old_per_token_logps"][row, column])
            reference = float(inputs["ref_per_token_logps"][row, column])
            ratio = torch.tensor(now - old).exp().item()
            advantage = float(inputs["advantages"][row])
            clipped = min(max(ratio, 0.8), 1.2)
            policy -= min(ratio * advantage, clipped * advantage)
            kl += BETA * (torch.tensor(reference - now).exp().item() - (reference - now) - 1)
            tokens += 1
    room = rows * BUDGET
    return Minibatch(policy / room / MINIBATCHES, kl / room / MINIBATCHES, tokens / room)


@pytest.mark.slow
def test_the_parts_of_the_loss_are_those_of_the_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from src.experiments.training.trl.learning import Learning

    seen: list[Minibatch] = []
    rows: list[dict[str, float]] = []
    compute = Learning._compute_loss

    def watched(self: Any, model: Any, inputs: Any) -> Any:
        seen.append(by_hand(self, inputs))
        return compute(self, model, inputs)

    def pay(self: Question, said: str) -> None:
        self.reward = len(said) / BUDGET  # so that there is something to learn

    class Every:
        next_step = 0

        def observe(self, step: int, collect: Any) -> None:
            rows.append(collect())

    monkeypatch.setattr(Learning, "_compute_loss", watched)
    monkeypatch.setattr(Question, "reply", pay)
    config = run_config(
        tmp_path,
        "DR_GRPO",
        beta=BETA,
        learning_rate=0.02,
        max_completion_length=BUDGET,
        num_iterations=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=MINIBATCHES,
        steps_per_generation=MINIBATCHES,
    )
    with closing(create_backend("trl", config)) as backend:
        backend.build()
        rows.append(backend.train(Every()).last)

    told = [each for each in rows if "training_step/loss" in each]
    assert len(seen) == MINIBATCHES * len(told) == 16
    assert any(each.filled < 0.9 for each in seen)
    assert told[-1]["training_step/dr_component_kl"] > 1e-4
    for number, row in enumerate(told):
        of_step = seen[MINIBATCHES * number :][:MINIBATCHES]
        policy, kl = sum(each.policy for each in of_step), sum(each.kl for each in of_step)
        assert row["training_step/dr_component_kl"] == pytest.approx(kl, rel=1e-3, abs=1e-7)
        assert row["training_step/dr_component_policy"] == pytest.approx(policy, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_of_two_processes_the_divergence_is_that_of_both(tmp_path: Path) -> None:
    config = run_config(
        tmp_path,
        "DR_GRPO",
        beta=BETA,
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
