"""The variables through which launchers tell the libraries how to train: a run has its own alone.

`accelerate launch`, `torchrun` and `mpirun` set them, and so may a shell's profile. Accelerate and
transformers heed them wherever they are told nothing else: another precision, a plugin that shards
the model, or processes that are waited for and never come.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

NAMES = frozenset({
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME",
    "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE",
    "MASTER_ADDR", "MASTER_PORT", "FORK_LAUNCHED",
})  # fmt: skip
PREFIXES = (
    # Accelerate's: precision, compiler, accumulation, device, and the switches of its plugins
    "ACCELERATE_",
    # what the plugins are told: sharded, parallel or mixed in another way than the file says
    "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_",
    # torchrun's
    "TORCHELASTIC_",
    # by which Accelerate counts the processes of mpirun
    "PMI_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_",
)  # fmt: skip


@contextmanager
def own_variables(values: Mapping[str, str] | None = None) -> Iterator[None]:
    """Have of such variables `values` alone, and all that there were back when the block ends."""
    values = values or {}
    before = _found(values)
    _replace(before, values)
    try:
        yield
    finally:
        _replace(_found(values), before)  # the libraries set some, too


def _found(names: Mapping[str, str]) -> dict[str, str]:
    """Those that are there, and any with one of the names."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in NAMES or name.startswith(PREFIXES) or name in names
    }


def _replace(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for name in old:
        del os.environ[name]
    os.environ.update(new)
