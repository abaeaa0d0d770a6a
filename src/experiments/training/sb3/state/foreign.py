"""Objects written in other languages whose state lies open: MuJoCo's simulation and its model.

Every array is told, and not only what MuJoCo calls its state: observations are read from derived
quantities, which a step leaves as they were before its last integration.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_KINDS = ("MjData", "MjModel")
_SHAPES_OF_THINGS = ("mesh_", "tex_", "hfield_", "skin_", "bvh_", "oct_", "flex", "name", "text")
"""Parts of a model that are large, and that nobody changes between two steps."""
_TIME = "time"


def foreign_arrays(value: Any) -> dict[str, Any] | None:
    """The arrays of a simulation by name; None where the object is no such thing."""
    kind = type(value)
    if kind.__name__ not in _KINDS or not kind.__module__.startswith("mujoco"):
        return None
    arrays: dict[str, Any] = {
        name: part
        for name, part in _numeric_arrays(value)
        if part.flags.writeable and not name.startswith(_SHAPES_OF_THINGS)
    }
    return {**arrays, _TIME: float(value.time)} if hasattr(value, _TIME) else arrays


def fill_foreign(existing: Any, arrays: dict[str, Any]) -> None:
    """Put the arrays back into a simulation of the same model."""
    present = dict(_numeric_arrays(existing))
    for name, values in arrays.items():
        if name == _TIME:
            existing.time = values
        elif name in present and present[name].shape == values.shape:
            present[name][...] = values


def _numeric_arrays(value: Any) -> list[tuple[str, np.ndarray]]:
    found = []
    for name in dir(value):
        if not name.startswith("_"):
            part = getattr(value, name, None)
            if isinstance(part, np.ndarray) and part.dtype.kind in "fiub":
                found.append((name, part))
    return found
