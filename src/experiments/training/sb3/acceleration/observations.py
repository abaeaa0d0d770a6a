"""Observations that become tensors, and features, without a look at their space at each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor

from ..patching import wrapped
from .walks import OF_THE_LIBRARIES

Function = Callable[..., Any]


@contextmanager
def direct_observations(model: BaseAlgorithm) -> Iterator[None]:
    """Take observations that are vectors of float32 as they are."""
    space = model.observation_space
    with ExitStack() as stack:
        if is_vector(space) and model.device.type == "cpu" and _is_of_the_library(model.policy):
            stack.enter_context(
                wrapped(model.policy, "obs_to_tensor", partial(_as_they_are, space.shape))
            )
            for network in model.policy.modules():
                if not isinstance(network, BaseModel) or not _is_of_the_library(network):
                    continue
                if has_flat_features(network):
                    stack.enter_context(wrapped(network, "extract_features", _unchanged))
        yield


def _is_of_the_library(network: BaseModel) -> bool:
    """Whether the functions that see observations are the library's own."""
    functions = (type(network).extract_features, type(network).obs_to_tensor)
    return all(each.__module__.split(".")[0] in OF_THE_LIBRARIES for each in functions)


def is_vector(space: spaces.Space[Any]) -> bool:
    """Whether a space's observations are vectors of float32."""
    return type(space) is spaces.Box and len(space.shape) == 1 and space.dtype == np.float32


def has_flat_features(network: BaseModel) -> bool:
    """Whether the features of a vector are the vector itself."""
    shares = getattr(network, "share_features_extractor", True)
    return type(network.features_extractor) is FlattenExtractor and (
        bool(shares) or not hasattr(network, "pi_features_extractor")
    )


def _as_they_are(shape: tuple[int, ...] | None, convert: Function) -> Function:
    def obs_to_tensor(observation: Any) -> tuple[Any, bool]:
        if (
            type(observation) is np.ndarray
            and observation.shape[1:] == shape
            and observation.dtype == np.float32
        ):
            return torch.from_numpy(observation.copy()), True
        converted: tuple[Any, bool] = convert(observation)
        return converted

    return obs_to_tensor


def _unchanged(extract: Function) -> Function:
    def extract_features(observations: Any, features_extractor: Any = None) -> Any:
        is_plain = isinstance(observations, Tensor) and observations.dtype == torch.float32
        if is_plain and observations.ndim == 2:
            return observations
        extractor = () if features_extractor is None else (features_extractor,)
        return extract(observations, *extractor)

    return extract_features
