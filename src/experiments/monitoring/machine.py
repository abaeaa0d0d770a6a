"""What this machine offers: plain records for whoever shows them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..domain.cores import usable_cores
from ..domain.units import MIB
from .available_memory import available_memory_mb
from .gpu import GpuDevice, gpu_devices
from .gpu_placement import VISIBLE_DEVICES

PACKAGES = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy", "scipy", "pydantic")
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "ray": ("ray",),
    "zoo": ("rl_zoo3",),
    "llm": ("trl", "transformers", "accelerate"),
    "parquet": ("pyarrow",),
}
"""Optional extras and the modules that they bring."""
TRACKER_ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "clearml": (
        "CLEARML_API_HOST",
        "CLEARML_WEB_HOST",
        "CLEARML_FILES_HOST",
        "CLEARML_S3_ENDPOINT",
    ),
    "wandb": ("WANDB_BASE_URL",),
}
"""Trackers and the settings that hold their addresses."""
WANDB_DEFAULT_ADDRESS = "https://api.wandb.ai"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CONNECT_SECONDS = 1.0

_PROBE_MIB = 32
_PROBE_SECONDS = 2.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Threads:
    """Cores, and the variables that tell libraries how many threads to start."""

    cores_logical: int
    cores_usable: float
    """A part of one where a quota gives so much."""
    variables: Mapping[str, str]
    """Only those that are set."""


@dataclass(frozen=True)
class DiskSpeed:
    """How fast a folder's disk takes data in, to the platter."""

    folder: Path
    free_mb: float | None
    write_mb_per_second: float | None
    """None where nothing could be written."""
    problem: str | None = None


@dataclass(frozen=True)
class Extra:
    """An optional extra of the installation."""

    name: str
    missing: tuple[str, ...]
    """Modules that are not installed."""

    @property
    def installed(self) -> bool:
        """Whether all of its modules are there."""
        return not self.missing


@dataclass(frozen=True)
class EnvFile:
    """A file of settings; its values are never shown."""

    path: Path
    present: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrackerAnswer:
    """Whether a tracker's address accepts a connection."""

    tracker: str
    setting: str
    """The name of the setting that holds the address."""
    address: str
    """Host and port."""
    reachable: bool
    problem: str | None = None


@dataclass(frozen=True)
class Machine:
    """Everything that `examine_machine` found."""

    python: str
    platform: str
    packages: Mapping[str, str | None]
    """Installed versions; None where a package is missing."""
    threads: Threads
    memory_mb: float
    """Installed, in MiB."""
    memory_available_mb: float
    """Free for runs, in MiB."""
    gpus: tuple[GpuDevice, ...] | None
    """None without a driver or a device."""
    visible_devices: str | None
    """``CUDA_VISIBLE_DEVICES`` where it is set: runs get no other GPU."""
    disk: DiskSpeed
    extras: tuple[Extra, ...]
    env_file: EnvFile
    trackers: tuple[TrackerAnswer, ...]
    """Only trackers that are configured."""


def examine_machine(
    folder: Path | str = ".",
    env_file: Path | str = ".env",
    timeout_seconds: float = CONNECT_SECONDS,
) -> Machine:
    """Look at this machine; `folder` is where results are written. Takes a few seconds at most."""
    import psutil

    return Machine(
        python=platform.python_version(),
        platform=platform.platform(),
        packages=installed_versions(),
        threads=threads(),
        memory_mb=psutil.virtual_memory().total / MIB,
        memory_available_mb=available_memory_mb(),
        gpus=gpu_devices() or None,
        visible_devices=os.environ.get(VISIBLE_DEVICES),
        disk=disk_speed(Path(folder)),
        extras=extras(),
        env_file=examine_env_file(Path(env_file)),
        trackers=trackers(Path(env_file), timeout_seconds=timeout_seconds),
    )


def installed_versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Versions of the packages that matter most, without importing any."""
    return {package: _version(package) for package in packages}


def threads() -> Threads:
    """Cores and thread settings of this process."""
    logical = os.cpu_count() or 1
    variables = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    return Threads(logical, usable_cores(), variables)


def extras() -> tuple[Extra, ...]:
    """Which optional extras are installed, without importing any."""
    return tuple(
        Extra(name, tuple(module for module in modules if not importlib.util.find_spec(module)))
        for name, modules in EXTRAS.items()
    )


def disk_speed(folder: Path) -> DiskSpeed:
    """Write up to 32 MiB to an unnamed temporary file and sync it, for about two seconds at most.

    A folder that does not exist is measured at its nearest parent.
    """
    place = next(
        parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir()
    )
    try:
        free_mb = shutil.disk_usage(place).free / MIB
        return DiskSpeed(place, free_mb, _write_speed(place))
    except OSError as error:
        return DiskSpeed(place, None, None, error.strerror or str(error))


def examine_env_file(path: Path) -> EnvFile:
    """Whether the file is there and which names it sets."""
    return EnvFile(path, path.is_file(), tuple(sorted(_env_values(path))))


def trackers(
    env_file: Path,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = CONNECT_SECONDS,
) -> tuple[TrackerAnswer, ...]:
    """Try to connect to every configured tracker at once; the environment overrides the file."""
    variables = os.environ if environment is None else environment
    settings = _env_values(env_file) | dict(variables)
    if settings.get("WANDB_API_KEY"):
        settings.setdefault("WANDB_BASE_URL", WANDB_DEFAULT_ADDRESS)
    probes = [
        _Probe(tracker, name, settings[name], timeout_seconds)
        for tracker, names in TRACKER_ADDRESSES.items()
        for name in names
        if settings.get(name)
    ]
    for probe in probes:
        probe.start()
    return tuple(probe.answer() for probe in probes)


class _Probe(threading.Thread):
    """One attempt to connect; looking a name up cannot be bounded, waiting for it can."""

    def __init__(self, tracker: str, setting: str, url: str, timeout_seconds: float) -> None:
        super().__init__(name=f"probe {setting}", daemon=True)
        self._timeout = timeout_seconds
        self._problem: str | None = "no answer in time"
        self._found: tuple[str, int] | None = _host_and_port(url)
        address = f"{self._found[0]}:{self._found[1]}" if self._found else "(not an address)"
        self._tracker, self._setting, self._address = tracker, setting, address

    def run(self) -> None:
        if self._found is None:
            self._problem = "not a URL with a host"
            return
        try:
            socket.create_connection(self._found, timeout=self._timeout).close()
            self._problem = None
        except OSError as error:
            self._problem = error.strerror or str(error)

    def answer(self) -> TrackerAnswer:
        self.join(2 * self._timeout)
        problem = self._problem
        return TrackerAnswer(self._tracker, self._setting, self._address, problem is None, problem)


def _host_and_port(url: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


def _env_values(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except (OSError, UnicodeDecodeError):
        return {}  # not ours to read, or no text
    return {name: value or "" for name, value in values.items()}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _write_speed(folder: Path) -> float:
    """MiB per second."""
    chunk = os.urandom(MIB)  # zeros would be compressed by some disks
    written = 0.0
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begun = time.perf_counter()
        while written < _PROBE_MIB and time.perf_counter() - begun < _PROBE_SECONDS:
            written += file.write(chunk) / MIB
        os.fsync(file.fileno())
        return written / (time.perf_counter() - begun)
