"""What a process knows of environments, told to another one; it imports nothing that takes time."""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from importlib import import_module

from gymnasium.envs.registration import EnvSpec, registry


def described(spec: EnvSpec) -> str:
    """What makes an environment, and when its episodes end, in words that two processes share."""
    entry = spec.entry_point
    if not isinstance(entry, str):
        name = getattr(entry, "__qualname__", type(entry).__qualname__)
        entry = f"{getattr(entry, '__module__', None)}:{name}"
    settings = sorted(spec.kwargs.items()), spec.order_enforce, spec.additional_wrappers
    told = re.sub(r" at 0x[0-9a-f]+", "", repr(settings))  # where an object lies differs
    return f"{entry}, {spec.max_episode_steps}, {told}"


def tell_registered() -> None:
    """Read ids and modules from standard input, import the modules, and tell what is registered."""
    ids, modules = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        for name in modules:
            import_module(name)
    known = {env_id: described(registry[env_id]) for env_id in ids if env_id in registry}
    sys.stdout.write(json.dumps(known))
