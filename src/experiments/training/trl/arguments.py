"""From a run's configuration to TRL's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from trl import GRPOConfig

from ...config.generations import generation_of
from ...domain.records import TrainerConfig
from ..shortening import planned_timesteps, settings_of

LOSSES: Mapping[str, Mapping[str, str]] = {
    "GRPO": {"loss_type": "grpo", "scale_rewards": "group"},
    "DR_GRPO": {"loss_type": "dr_grpo", "scale_rewards": "none"},
}
"""What sets the algorithms apart: Liu et al. 2025 (arXiv:2503.20783) take the lengths and the
groups' deviations out of the loss."""
PUBLISHED: Mapping[str, Any] = {
    # DeepSeek-V3.2 multiplies the divergence by the importance ratio, which changes its gradient;
    # in DeepSeekMath (arXiv:2402.03300, equation 4) it stands as it is
    "use_bias_correction_kl": False,
    # DeepSeek-V3.2 leaves bad completions out that have become unlikely
    "off_policy_mask_threshold": None,
    # Skywork-OR1 steers the weight of the entropy; here it is entropy_coef, 0 unless it is set
    "use_adaptive_entropy": False,
    # TR-DPO has the reference follow the model; here it is what the run began with
    "sync_ref_model": False,
    # a mixture of experts declares a loss for the balance of its router, which is not GRPO's
    "router_aux_loss_coef": 0.0,
    # there is one reward: the task's
    "reward_weights": None,
    "multi_objective_aggregation": "sum_then_normalize",
    # noise in embeddings, as supervised fine-tuning may have it
    "neftune_noise_alpha": None,
    # tokens are drawn by the model that learns: no other engine, whose probabilities would have to
    # be corrected, and nothing beside the sampling that the file names
    "use_vllm": False,
    "use_transformers_continuous_batching": False,
    "generation_kwargs": None,
    # kernels and precisions that compute the loss another way
    "use_liger_kernel": False,
    "cast_lm_head_to_fp32": False,
}
"""What TRL adds to the published algorithms, switched off whatever its defaults are."""
OURS = ("model_name", "dtype", "max_prompts", "processes", "generation_batch_size")
"""Settings that TRL does not take, or takes under another name."""


def grpo_config(config: TrainerConfig, device: torch.device, scratch: str) -> GRPOConfig:
    """TRL's configuration; it neither saves nor reports anything by itself.

    Args:
        config: of the run.
        device: where it trains.
        scratch: a folder that TRL may write to; nothing in it is kept.
    """
    settings = settings_of(config)
    given = {name: value for name, value in settings.items() if name not in OURS}
    given["steps_per_generation"] = generation_of(settings).steps
    # under the name that transformers goes over to
    given["activation_checkpointing"] = given.pop("gradient_checkpointing")
    given["bf16"] = settings["bf16"] if settings["bf16"] is not None else device.type == "cuda"
    arguments: dict[str, Any] = {
        **given,
        **LOSSES[config.algorithm],
        **PUBLISHED,
        "output_dir": scratch,
        "max_steps": planned_timesteps(config),
        "seed": config.seed,
        "shuffle_dataset": False,  # the prompts are drawn in order, by the run's seed
        "use_cpu": device.type == "cpu",
        "model_init_kwargs": {"dtype": settings["dtype"]},
        "trust_remote_code": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would hide a loss that is not a number
        "report_to": "none",
        "save_strategy": "no",
        "eval_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": device.type == "cuda",
        "log_level": "error",
        "ddp_find_unused_parameters": False,
    }
    made = GRPOConfig(**arguments)
    made._n_gpu = min(made.n_gpu, 1)  # several that are visible are not taken by one process
    return made
