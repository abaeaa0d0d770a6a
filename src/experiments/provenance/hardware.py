"""The machine that trains."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from ..domain.cores import usable_cores


@dataclass(frozen=True)
class Hardware:
    """What the results may depend on, or what the times certainly do."""

    hostname: str
    os: str
    architecture: str
    python: str
    cpu_model: str
    cores_physical: int | None
    cores_logical: int | None
    cores_usable: float
    """Cores that this process may keep busy."""
    memory_mb: float
    """Installed memory in MiB."""
    gpus: tuple[str, ...]
    gpu_driver: str | None


def hardware() -> Hardware:
    """This machine."""
    import psutil

    gpus, driver = _gpus()
    return Hardware(
        hostname=platform.node(),
        os=platform.platform(),
        architecture=platform.machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu_model=_cpu_model(Path("/proc/cpuinfo")) or platform.processor() or platform.machine(),
        cores_physical=psutil.cpu_count(logical=False),
        cores_logical=psutil.cpu_count(),
        cores_usable=usable_cores(),
        memory_mb=psutil.virtual_memory().total / 2**20,
        gpus=gpus,
        gpu_driver=driver,
    )


def _cpu_model(cpuinfo: Path) -> str | None:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None  # not Linux
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)


def _gpus() -> tuple[tuple[str, ...], str | None]:
    """Names of the NVIDIA devices and the driver's version; nothing without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        names = tuple(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
        return names, str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return (), None
