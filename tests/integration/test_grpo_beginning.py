"""What a language model's run begins with: recorded, evaluated, and noticed where it changes."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.experiments.domain.errors import RunStoppedError, TrainingError
from src.experiments.domain.paths import RunPaths
from src.experiments.domain.records import TrainerConfig
from src.experiments.domain.seeds import SeedStream, stream_seeds
from src.experiments.training import Trainer
from src.experiments.training.backend import create_backend
from tests.integration.test_grpo import Unobserved, asks_after, journal, run_config
from tests.language import needs_trl, newborn

pytestmark = [pytest.mark.integration, pytest.mark.slow, needs_trl]


def test_it_is_evaluated_before_the_first_step_and_learns_the_same(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    result = Trainer(config).train()

    evaluations = [each for each in journal(config) if each["kind"] == "evaluation"]
    assert [each["step"] for each in evaluations] == [0, 4, 8]
    assert [point.step for point in result.evaluations] == [0, 4, 8]
    with closing(create_backend("trl", config)) as backend:
        backend.build()
        seeds = stream_seeds(config.seed, SeedStream.EVALUATION, config.evaluation.episodes)
        untrained = backend.evaluate(seeds, deterministic=False)
        assert [each.reward_sum for each in untrained] == evaluations[0]["returns"]
        assert [each.length for each in untrained] == evaluations[0]["lengths"]
        backend.train(Unobserved())
        assert backend.parameters_sha256() == result.parameters_sha256


@pytest.fixture
def stopped(tmp_path: Path) -> TrainerConfig:
    """A run of a model in a folder, stopped half way."""
    folder = tmp_path / "model"
    shutil.copytree(newborn(), folder)
    config = run_config(tmp_path, model_name=str(folder), beta=0.1)
    with pytest.raises(RunStoppedError):
        Trainer(config, asked_to_stop=asks_after(4, config)).train()
    return replace(config, attempt=2)


def started(config: TrainerConfig) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in journal(config) if each["kind"] == "started")
    return found["starting_model"]


def why_inexact(config: TrainerConfig) -> str | None:
    assert config.run_dir is not None
    told = json.loads(RunPaths(config.run_dir).attempt(config.attempt).start.read_text())
    reason: str | None = told["why_inexact"]
    return reason


def test_a_run_goes_on_with_the_model_that_it_began_with(stopped: TrainerConfig) -> None:
    Trainer(stopped).train()

    assert why_inexact(stopped) is None
    assert set(started(stopped)) == {"name", "parameters_sha256", "tokenizer_sha256"}


def test_another_model_in_its_place_makes_going_on_approximate(stopped: TrainerConfig) -> None:
    from transformers import AutoModelForCausalLM

    folder = stopped.hyperparameters["model_name"]
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.model.norm.weight.data += 1
    model.save_pretrained(folder)
    Trainer(stopped).train()

    reason = str(why_inexact(stopped))
    assert reason.startswith(f"the model {folder!a} is not the one with which the run began")
    assert f"parameters_sha256 {started(stopped)['parameters_sha256'][:12]}, now " in reason


@pytest.mark.parametrize("change", ["vocabulary", "chat_template"])
def test_another_tokenizer_in_its_place_is_refused(stopped: TrainerConfig, change: str) -> None:
    from transformers import AutoTokenizer

    folder = stopped.hyperparameters["model_name"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if change == "vocabulary":
        file = Path(folder) / "tokenizer.json"
        content = json.loads(file.read_text())
        words = content["model"]["vocab"]
        words["1"], words["2"] = words["2"], words["1"]
        file.write_text(json.dumps(content))
    else:
        tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
        tokenizer.save_pretrained(folder)
    before = journal(stopped)
    with pytest.raises(TrainingError, match=r"tokenizer of .* is not the one with which the run"):
        Trainer(stopped).train()

    assert journal(stopped) == before
