"""Reads GRPO's settings out of TRL, for `config/language_algorithms.json`.

The table is committed, so that checking an experiment file needs no TRL; a test regenerates it
where TRL is installed. `python -m src.experiments.training.trl.signatures` writes it anew.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import types
import typing
from collections.abc import Mapping
from typing import Any

from trl import GRPOConfig

from ...config.algorithms import LANGUAGE_TABLE
from ...durability.files import write_json

ALGORITHMS = ("GRPO", "DR_GRPO")
SETTINGS = (
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "max_grad_norm", "per_device_train_batch_size",
    "gradient_accumulation_steps", "gradient_checkpointing", "bf16", "num_generations",
    "generation_batch_size", "steps_per_generation", "max_completion_length", "temperature",
    "top_p", "top_k", "min_p", "repetition_penalty", "beta", "num_iterations", "epsilon",
    "epsilon_high", "delta", "importance_sampling_level", "mask_truncated_completions",
    "top_entropy_quantile", "entropy_coef", "disable_dropout",
)  # fmt: skip
"""TRL's settings that an experiment file can hold, under TRL's names."""
OWN: Mapping[str, Mapping[str, Any]] = {
    "model_name": {"kind": "text", "default": "tiny"},
    "dtype": {"kind": "text", "default": "float32"},
    "max_prompts": {"kind": "integer", "default": 512},
    "processes": {"kind": "integer", "default": 1},
}
"""Settings beside TRL's."""
NEVER_NULL = ("num_generations", "max_completion_length")
"""Settings that TRL takes null for, and without which no batch can be counted."""
KINDS = {bool: "boolean", int: "integer", float: "number", str: "text"}


def signature_table() -> dict[str, Any]:
    """The algorithms' settings with TRL's defaults, as data."""
    known = {field.name: field for field in dataclasses.fields(GRPOConfig)}
    types_by_name = typing.get_type_hints(GRPOConfig)
    parameters: dict[str, Mapping[str, Any]] = dict(OWN)
    for name in SETTINGS:
        annotation = types_by_name[name]
        parts = set(typing.get_args(annotation) or (annotation,))
        nullable = types.NoneType in parts and name not in NEVER_NULL
        parameters[name] = _parameter(parts, known[name].default, nullable=nullable)
    entry = {
        "library": "trl",
        "family": "language",
        "action_spaces": [],
        "parameters": parameters,
        "policies": {"CausalLM": {}},
    }
    return {
        "versions": {"trl": importlib.metadata.version("trl")},
        "algorithms": dict.fromkeys(ALGORITHMS, entry),
    }


def _parameter(parts: set[Any], default: Any, *, nullable: bool) -> dict[str, Any]:
    kind = next(name for type_, name in KINDS.items() if type_ in parts)
    plain = default.value if hasattr(default, "value") else default
    entry = {"kind": kind, "default": plain}
    return {**entry, "nullable": True} if nullable else entry


if __name__ == "__main__":
    write_json(LANGUAGE_TABLE, signature_table())
