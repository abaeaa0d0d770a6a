"""Whether the processes that train know the environments that are registered in this one.

They import Gymnasium, with whatever registers itself with it, and the modules that were allowed;
of the program that is running here, a script or a notebook, they have nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

from gymnasium.envs.registration import EnvSpec, registry

from ..domain.errors import ConfigurationError, Problem
from ..tasks.registry import OWN_MODULE, PROGRAM
from .algorithms import is_language
from .difference import resolved_id
from .models import ExperimentConfig
from .preparing import ARMS
from .problems import at, shown
from .registered import described, tell_registered

LONGEST_SECONDS = 60.0
"""How long a fresh process may import; without its answer nothing is refused."""
_NOT_THE_USERS = ("gymnasium", "functools", "None")
"""Modules of entry points that say nothing of who registered them."""
_COMMAND_LINE = f"{__package__.rpartition('.')[0]}.cli.entry"
_known: set[tuple[object, ...]] = set()
"""What was asked for already and found to be the same; a refusal is not remembered, for a module
may be mended meanwhile."""
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    f"from {tell_registered.__module__} import tell_registered; tell_registered()"
)


def check_registrations(config: ExperimentConfig) -> None:
    """Refuse environments that other processes would not know, or would know as something else.

    Raises:
        ConfigurationError: naming each.
    """
    if _COMMAND_LINE in sys.modules:
        return  # a command of ours imports nothing but what the others import too
    ids = {
        key: resolved_id(arm, config)
        for key, arm in zip(ARMS, config.arms.values(), strict=True)
        if not is_language(arm.algorithm)
    }
    here = {env_id: registry[env_id] for env_id in ids.values() if env_id in registry}
    told = frozenset((name, described(spec)) for name, spec in here.items())
    asked = (told, *config.environment_modules)
    if asked in _known:
        return
    elsewhere = _registered_elsewhere(tuple(here), config.environment_modules)
    if elsewhere is None:
        return
    problems = list(_problems(ids, here, elsewhere))
    if problems:
        raise ConfigurationError(problems)
    _known.add(asked)


def _problems(
    ids: Mapping[str, str], here: Mapping[str, EnvSpec], elsewhere: Mapping[str, str]
) -> Iterator[Problem]:
    told = set()
    for key, env_id in ids.items():
        spec = here.get(env_id)
        if spec is None or elsewhere.get(env_id) == described(spec) or env_id in told:
            continue
        told.add(env_id)
        message = (
            "is registered as something else in the processes that train"
            if env_id in elsewhere
            else "is registered only in this process, and the processes that train lack it"
        )
        yield Problem(at(key, "environment"), message, shown(env_id), _remedy(spec))


def _remedy(spec: EnvSpec) -> str:
    module = described(spec).partition(":")[0]
    if module == PROGRAM:
        return OWN_MODULE
    name = "NAME" if module.partition(".")[0] in _NOT_THE_USERS else module
    return (
        "name the module that registers it: "
        f"environment_modules=[{name!r}], or --allow-env-module {name}"
    )


def _registered_elsewhere(
    ids: tuple[str, ...], modules: tuple[str, ...]
) -> Mapping[str, str] | None:
    """What a fresh process knows of the ids; None where it gives no answer."""
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, our own module
            [sys.executable, "-c", _PROGRAM, *sys.path],
            input=json.dumps([ids, modules]),
            capture_output=True,
            encoding="utf-8",
            timeout=LONGEST_SECONDS,
            check=True,
        )
        answer: Mapping[str, str] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return answer
