"""Copies of observations and infos without a search for what they share with one another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from stable_baselines3.common import off_policy_algorithm
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import dummy_vec_env

from ..patching import wrapped

UNCHANGEABLE = frozenset(
    (bool, int, float, complex, str, bytes, type(None), np.bool_, np.float32, np.float64, np.int64)
)

Copy = Callable[[Any], Any]


@contextmanager
def plain_copies(model: BaseAlgorithm) -> Iterator[None]:
    """Copy by kind where vectors of environments and off-policy algorithms copy deeply."""
    del model
    with (
        wrapped(dummy_vec_env, "deepcopy", _by_kind),
        wrapped(off_policy_algorithm, "deepcopy", _by_kind),
    ):
        yield


def _by_kind(deepcopy: Copy) -> Copy:
    def copied(value: Any) -> Any:
        kind = type(value)
        if kind is np.ndarray and not value.dtype.hasobject:
            return value.copy("K")
        if kind is OrderedDict:  # the observations of a vector of environments
            return OrderedDict((name, copied(part)) for name, part in value.items())
        if kind is list:
            return [copied_info(info) for info in value]
        return deepcopy(value)

    def copied_info(info: Any) -> Any:
        if type(info) is not dict:
            return deepcopy(info)
        for value in info.values():
            if type(value) not in UNCHANGEABLE:
                return deepcopy(info)
        return info.copy()

    return copied
