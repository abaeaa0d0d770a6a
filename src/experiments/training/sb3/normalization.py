"""VecNormalize as plain JSON: what a policy needs to see the world as it did in training."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize


def normalization_record(normalize: VecNormalize) -> dict[str, Any]:
    """Settings and statistics; observation statistics by key for dictionary observations."""
    record: dict[str, Any] = {
        name: getattr(normalize, name)
        for name in ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon")
    }
    record["reward"] = _statistics(normalize.ret_rms)
    if normalize.norm_obs:
        statistics = normalize.obs_rms
        record["observation"] = (
            {key: _statistics(part) for key, part in statistics.items()}
            if isinstance(statistics, dict)
            else _statistics(statistics)
        )
    return record


def _statistics(running: RunningMeanStd) -> dict[str, Any]:
    return {
        "mean": running.mean.tolist(),
        "variance": running.var.tolist(),
        "count": float(running.count),
    }
