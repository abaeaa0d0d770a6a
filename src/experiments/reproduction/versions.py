"""What is different here from what was recorded: packages, Python, machine, threads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import packages_distributions
from typing import Any

from ..config import resolve_environment
from ..config.algorithms import is_language
from ..domain.errors import ConfigurationError
from ..provenance import Recorded, hardware, package_versions

CORE = ("torch", "numpy", "stable-baselines3", "sb3-contrib", "gymnasium")
"""Packages that decide the bits of every training."""
LANGUAGE = ("trl", "transformers", "accelerate", "tokenizers")
"""Packages that decide the bits of a language model's training besides."""
ENGINES: Mapping[str, tuple[str, ...]] = {
    "box2d": ("box2d", "box2d-py", "pygame", "pygame-ce"),
    "mujoco": ("mujoco", "mujoco-core"),
}
"""Packages behind Gymnasium's own environments, by the module that holds these."""
IMAGE_WRAPPERS = ("AtariWrapper", "ResizeObservation", "GrayscaleObservation")
IMAGES = ("opencv-python", "opencv-python-headless")
REPLAYED_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS", "OMP_DYNAMIC", "MKL_DYNAMIC", "MKL_CBWR"),
    *("MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "PYTHONHASHSEED"),
    *("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MUJOCO_GL", "SDL_VIDEODRIVER"),
    *("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
)
"""Variables that change sums, and say nothing of one machine alone: they are set as they were."""
_OF_THE_MACHINE = ("architecture", "cpu_model", "cores_usable", "gpus", "gpu_driver", "os")


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was; None is absent."""

    name: str
    recorded: Any
    here: Any

    def __str__(self) -> str:
        return f"{self.name} {_shown(self.recorded)} → {_shown(self.here)}"


@dataclass(frozen=True)
class Surroundings:
    """All that is different here."""

    deciding: tuple[Change, ...]
    """Packages, and Python, on which the bits of training depend."""
    other: tuple[Change, ...]
    """Further packages."""
    machine: tuple[Change, ...]
    """Processor, cores, GPU, variables: a possible cause of other bits, too."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def surroundings(
    recorded: Recorded, config: Mapping[str, Any], environment: Mapping[str, str]
) -> Surroundings:
    """Compare what was recorded with this Python and this machine.

    Args:
        recorded: the provenance.
        config: the saved experiment file.
        environment: of the process that is to train.
    """
    deciding = deciding_packages(recorded, config)
    packages = list(_package_changes(recorded.packages, package_versions()))
    machine = asdict(hardware())
    python = list(_python_change(recorded.hardware.get("python"), machine["python"]))
    return Surroundings(
        deciding=(*python, *(each for each in packages if _key(each.name) in deciding)),
        other=tuple(each for each in packages if _key(each.name) not in deciding),
        machine=(
            *_changes(recorded.hardware, machine, _OF_THE_MACHINE),
            *_changes(recorded.environment, environment, REPLAYED_VARIABLES),
        ),
    )


def replayed(recorded: Recorded, environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with the recorded variables that change sums, and no others of them."""
    kept = {name: value for name, value in environment.items() if name not in REPLAYED_VARIABLES}
    told = {
        name: value for name, value in recorded.environment.items() if name in REPLAYED_VARIABLES
    }
    return kept | told


def deciding_packages(recorded: Recorded, config: Mapping[str, Any]) -> frozenset[str]:
    """Names, as `_key` makes them, of the packages on which the bits of this training depend."""
    modules = tuple(recorded.modules)
    arms = [arm for arm in (config.get("baseline_config"), config.get("variant_config")) if arm]
    found = set(CORE)
    for arm in arms:
        if is_language(str(arm.get("algorithm"))):
            found.update(LANGUAGE)
        found.update(_behind(_module_of(str(arm.get("environment")), modules)))
        wrappers = {each["name"] for each in arm.get("wrappers") or () if isinstance(each, dict)}
        if wrappers & set(IMAGE_WRAPPERS):
            found.update(IMAGES)
    for module, file in recorded.modules.items():
        if file is None:  # it is no part of the repository
            found.update(_behind(module))
    return frozenset(_key(name) for name in found)


def _module_of(environment: str, modules: Sequence[str]) -> str:
    """The module that holds an environment; empty where it is not registered here."""
    from gymnasium.envs.registration import registry

    try:
        entry_point = registry[resolve_environment(environment, modules)].entry_point
    except ConfigurationError:
        return ""
    return entry_point.partition(":")[0] if isinstance(entry_point, str) else ""


def _behind(module: str) -> Iterator[str]:
    """The packages behind a module."""
    top, *rest = module.split(".")
    if top == "gymnasium":
        for part in rest:
            yield from ENGINES.get(part, ())
    elif top:
        yield from _owners().get(top, ())


@cache
def _owners() -> Mapping[str, Sequence[str]]:
    """Packages by the modules that they hold; it takes a while to find out."""
    return packages_distributions()


def _package_changes(recorded: Mapping[str, str], here: Mapping[str, str]) -> Iterator[Change]:
    ours = {_key(name): version for name, version in here.items()}
    theirs = {_key(name): version for name, version in recorded.items()}
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield Change(key, theirs.get(key), ours.get(key))


def _python_change(recorded: Any, here: str) -> Iterator[Change]:
    """Its minor version counts; the corrections after it do not."""
    if _minor(str(recorded)) != _minor(here):
        yield Change("Python", recorded, here)


def _minor(python: str) -> str:
    return python.rpartition(".")[0]


def _changes(
    recorded: Mapping[str, Any], here: Mapping[str, Any], names: Sequence[str]
) -> Iterator[Change]:
    for name in names:
        before, now = _listed(recorded.get(name)), _listed(here.get(name))
        if before != now:
            yield Change(name, before, now)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _key(name: str) -> str:
    """A package's name as indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _shown(value: Any) -> str:
    match value:
        case None | []:
            return "none"
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
