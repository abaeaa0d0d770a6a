"""TRL's configuration: the published algorithms, whatever TRL makes its default."""

from __future__ import annotations

import dataclasses

import pytest

from src.experiments.domain.records import TrainerConfig
from tests.language import QUICK, needs_trl

pytestmark = needs_trl

FIXED = {"num_generations_eval", "shuffle_dataset", "model_init_kwargs"}
"""Set for each run, or of evaluations that TRL does not carry out here."""
WITHOUT_EFFECT = {
    # what they belong to is switched off
    "ref_model_mixup_alpha", "ref_model_sync_steps", "entropy_coef_min", "entropy_coef_max",
    "entropy_coef_delta", "entropy_target", "transformers_continuous_batching_config",
    # how dialogues are led and rendered is decided here
    "max_tool_calling_iterations", "chat_template_kwargs", "cache_implementation",
    # how tensors lie, what is loaded, what is printed
    "remove_unused_columns", "pad_to_multiple_of", "ds3_gather_for_generation",
    "trust_remote_code", "use_transformers_paged",
}  # fmt: skip
OTHER_PARTS = ("vllm_", "sapo_", "vespo_", "log_", "num_completions_to_print")
"""Of engines, losses and outputs that are not used."""


def test_no_setting_of_trl_is_left_to_its_default_unseen() -> None:
    """A new version's new one fails here, until it is judged."""
    from trl import GRPOConfig
    from trl.trainer.base_config import _BaseConfig

    from src.experiments.training.trl.arguments import LOSSES, PUBLISHED
    from src.experiments.training.trl.signatures import SETTINGS

    inherited = {each.name for each in dataclasses.fields(_BaseConfig)}
    own = {each.name for each in dataclasses.fields(GRPOConfig)} - inherited
    judged = {*SETTINGS, *PUBLISHED, *LOSSES["GRPO"], *FIXED, *WITHOUT_EFFECT}

    assert {name for name in own - judged if not name.startswith(OTHER_PARTS)} == set()


@pytest.mark.parametrize("algorithm", ["GRPO", "DR_GRPO"])
def test_the_published_algorithm_is_told_to_trl(algorithm: str, tmp_path: object) -> None:
    import torch

    from src.experiments.training.trl.arguments import PUBLISHED, grpo_config

    config = TrainerConfig(algorithm, "arithmetic", 2, seed=1, hyperparameters={**QUICK, "beta": 1})
    made = grpo_config(config, torch.device("cpu"), str(tmp_path))

    assert {name: getattr(made, name) for name in PUBLISHED} == dict(PUBLISHED)
    assert made.use_bias_correction_kl is False
