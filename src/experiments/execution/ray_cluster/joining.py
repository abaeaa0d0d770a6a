"""How the gateway comes by a cluster, and makes sure that its machines see the results."""

from __future__ import annotations

import math
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray as typed_ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...domain.cores import usable_cores
from ...domain.errors import ExperimentsError, StorageError, described
from .messages import Connect
from .tasks import sees

REACH_SECONDS = 10.0
"""How long the cluster's head may take to accept a connection."""
PROBE_SECONDS = 20.0
"""How long the machines may take to look for the results directory."""
OBJECT_STORE_BYTES = 128 * 2**20

ray: Any = typed_ray  # its annotations do not know all that it takes


@contextmanager
def cluster(request: Connect) -> Iterator[None]:
    """Join the cluster, or start one on this machine and end it again."""
    variables = {"PYTHONPATH": request.workplace.import_path}
    shared: dict[str, Any] = {"runtime_env": {"env_vars": variables}}
    if request.address is not None:
        _check_reachable(request.address)
        _init(request.address, address=request.address, **shared)
        try:
            yield
        finally:
            ray.shutdown()
        return
    with _scratch() as scratch:
        _init(
            "this machine",
            address="local",
            num_cpus=max(math.ceil(usable_cores()), request.slots),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            _temp_dir=str(scratch),
            **shared,
        )
        try:
            yield
        finally:
            kill_children()


def _init(where: str, **settings: Any) -> None:
    try:
        ray.init(log_to_driver=False, configure_logging=False, **settings)
    except Exception as error:
        raise ExperimentsError(
            f"Ray cannot be used: {described(error).strip().splitlines()[0]}",
            where=where,
            remedy=(
                "`ray status` shows whether the cluster is running; a node of it must run on this "
                "machine, and Python, Ray and Ray's token must be the same everywhere"
            ),
        ) from error


def _check_reachable(address: str) -> None:
    """Find out in time what Ray itself finds out after a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise ExperimentsError(
            f"no Ray cluster answers ({error})",
            where=address,
            remedy="give the address that `ray start --head` prints",
        ) from error


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory for Ray's sockets and logs; its name is short, as a socket's has to be."""
    base = tempfile.gettempdir()
    scratch = Path(tempfile.mkdtemp(prefix="ray-", dir=base if len(base) <= 24 else "/tmp"))  # noqa: S108
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def shared_token(directory: Path | None) -> Iterator[Path | None]:
    """A file in `directory`, or where it will be, once every machine has been seen to see it."""
    if directory is None:
        yield None
        return
    existing = next(path for path in (directory, *directory.parents) if path.is_dir())
    token = existing / f".cluster-{secrets.token_hex(8)}"
    try:
        token.touch(mode=0o600)
    except OSError as error:
        raise StorageError(
            f"results cannot be written there ({error.strerror})",
            where=str(existing),
            remedy="choose another directory with --output-dir",
        ) from error
    try:
        _check_seen(token)
        yield token
    finally:
        with suppress(OSError):
            token.unlink()


def _check_seen(token: Path) -> None:
    """Have every machine that can run a job look for the file."""
    asked = machines()
    looks = [_look_from(machine, token) for machine in asked]
    ray.wait(looks, num_returns=len(looks), timeout=PROBE_SECONDS)
    blind = {
        machine["NodeManagerHostname"]
        for machine, look in zip(asked, looks, strict=True)
        if not _answer(look)
    }
    if blind:
        raise StorageError(
            f"results written there are not seen by {', '.join(sorted(blind))}",
            where=str(token.parent),
            remedy="choose storage that every machine mounts at the same place (--output-dir)",
        )


def machines() -> list[dict[str, Any]]:
    """The nodes that can run a job."""
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]


def _look_from(machine: dict[str, Any], token: Path) -> Any:
    place = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
    look = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(sees)
    return look.remote(token)


def _answer(look: Any) -> bool:
    try:
        return bool(ray.get(look, timeout=0))
    except exceptions.RayError:
        return False


def kill_children() -> None:
    """End the daemons of a cluster that was started here, and what they started."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
